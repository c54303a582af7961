# ViT-L/14, unified protocol.
_base_ = "./corrclip_vit-b16_pc459.py"
model = dict(backbone=dict(arch="ViT-L-14"))
unified = dict(model=dict(backbone=dict(arch="ViT-L-14")))
