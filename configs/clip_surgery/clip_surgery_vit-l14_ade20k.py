_base_ = "./clip_surgery_vit-b16_ade20k.py"
model = dict(backbone=dict(arch="ViT-L-14"))
