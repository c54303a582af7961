# ViT-L/14, as for ViT-B/16: the authors ran no ViT-L/14.
_base_ = "./lavg_vit-b16_ade20k.py"
model = dict(backbone=dict(arch="ViT-L-14"))
