# ViT-L/14, as for ViT-B/16.
_base_ = "./corrclip_vit-b16_coco_object.py"
model = dict(backbone=dict(arch="ViT-L-14-quickgelu"))
unified = dict(model=dict(backbone=dict(arch="ViT-L-14")))
