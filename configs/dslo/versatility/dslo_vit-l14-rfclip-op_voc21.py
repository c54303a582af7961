# "RF-CLIP L/14, w/ O.P." of the paper's table of other methods (supplement): as for ViT-B/16, with the
# distraction channels of ViT-L/14.
_base_ = "./dslo_vit-l14-rfclip_voc21.py"
setting = "optimal path"
model = dict(mode="optimal_path")
