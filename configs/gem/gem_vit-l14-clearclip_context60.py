_base_ = "./gem_vit-b16-clearclip_context60.py"
model = dict(backbone=dict(arch="ViT-L-14"))
