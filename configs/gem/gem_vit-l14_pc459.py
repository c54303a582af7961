_base_ = "./gem_vit-b16_pc459.py"
model = dict(backbone=dict(arch="ViT-L-14"))
