# LAION's ViT-H/14, as for ViT-B/16.
_base_ = "./proxyclip_vit-b16_pc459.py"
model = dict(backbone=dict(arch="ViT-H-14", pretrained="laion2b_s32b_b79k"))
