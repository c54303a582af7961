_base_ = "./gem_vit-b16-clearclip_voc20.py"
model = dict(backbone=dict(arch="ViT-L-14"))
