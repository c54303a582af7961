_base_ = "./gem_vit-b16-clearclip_voc21.py"
model = dict(backbone=dict(arch="ViT-L-14"))
