_base_ = "./gem_vit-b16_ade20k.py"
model = dict(backbone=dict(arch="ViT-L-14"))
