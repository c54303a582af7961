# LAION's ViT-H/14, which the authors' config names, as for ViT-B/16; in both protocols.
_base_ = "./corrclip_vit-b16_coco_stuff164k.py"
model = dict(backbone=dict(arch="ViT-H-14", pretrained="laion2b_s32b_b79k"))
unified = dict(model=dict(backbone=dict(arch="ViT-H-14", pretrained="laion2b_s32b_b79k")))
