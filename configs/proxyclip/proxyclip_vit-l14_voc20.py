# ViT-L/14, as for ViT-B/16.
_base_ = "./proxyclip_vit-b16_voc20.py"
model = dict(backbone=dict(arch="ViT-L-14"))
