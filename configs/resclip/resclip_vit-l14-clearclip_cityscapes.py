# ViT-L/14, as for ViT-B/16: the authors' code takes --backbone ViT-L/14 and changes nothing else.
_base_ = "./resclip_vit-b16-clearclip_cityscapes.py"
model = dict(backbone=dict(arch="ViT-L-14"))
