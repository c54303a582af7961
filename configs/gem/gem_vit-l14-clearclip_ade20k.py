_base_ = "./gem_vit-b16-clearclip_ade20k.py"
model = dict(backbone=dict(arch="ViT-L-14"))
