# "RF-CLIP B/16, w/ O.P." of the paper's table of other methods (supplement): DSLO's settings, over RF-CLIP's
# logits with RF-CLIP's settings for this dataset.
_base_ = "./dslo_vit-b16-rfclip_context59.py"
setting = "optimal path"
model = dict(mode="optimal_path")
