# "RF-CLIP L/14, w/ M.V." of the paper's table of other methods (supplement): as for ViT-B/16, with the
# distraction channels of ViT-L/14.
_base_ = "./dslo_vit-b16-rfclip_coco_object.py"
model = dict(
    backbone=dict(arch="ViT-L-14"),
    base=dict(channels=[250, 261, 437, 650, 720, 779, 936, 1005]),
)
