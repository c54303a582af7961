_base_ = "./gem_vit-b16_cityscapes.py"
model = dict(backbone=dict(arch="ViT-L-14"))
