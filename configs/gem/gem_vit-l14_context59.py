_base_ = "./gem_vit-b16_context59.py"
model = dict(backbone=dict(arch="ViT-L-14"))
