# ViT-L/14, unified protocol. Blocks and cls_weight are those that SCCLIP takes for 24 blocks.
_base_ = "./sc_clip_vit-b16_ade847.py"
model = dict(backbone=dict(arch="ViT-L-14"))
