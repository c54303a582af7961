_base_ = "./clip_surgery_vit-b16_context59.py"
model = dict(backbone=dict(arch="ViT-L-14"))
