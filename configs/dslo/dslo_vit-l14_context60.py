# ViT-L/14, as for ViT-B/16: the paper names one setting for both.
_base_ = "./dslo_vit-b16_context60.py"
model = dict(backbone=dict(arch="ViT-L-14"))
