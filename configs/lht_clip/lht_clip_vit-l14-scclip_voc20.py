# ViT-L/14, as for ViT-B/16; SSR takes blocks 20 to 23.
_base_ = "./lht_clip_vit-b16-scclip_voc20.py"
model = dict(backbone=dict(arch="ViT-L-14"))
