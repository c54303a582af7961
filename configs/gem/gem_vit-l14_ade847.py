_base_ = "./gem_vit-b16_ade847.py"
model = dict(backbone=dict(arch="ViT-L-14"))
