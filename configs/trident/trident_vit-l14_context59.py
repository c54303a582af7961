# ViT-L/14, as for ViT-B/16; the authors do not run it.
_base_ = "./trident_vit-b16_context59.py"
model = dict(backbone=dict(arch="ViT-L-14"))
