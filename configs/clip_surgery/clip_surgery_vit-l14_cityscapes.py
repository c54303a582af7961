_base_ = "./clip_surgery_vit-b16_cityscapes.py"
model = dict(backbone=dict(arch="ViT-L-14"))
