_base_ = "./clip_surgery_vit-b16_voc21.py"
model = dict(backbone=dict(arch="ViT-L-14"))
