_base_ = "./gem_vit-b16_coco_object.py"
model = dict(backbone=dict(arch="ViT-L-14"))
