_base_ = "./clip_surgery_vit-b16_coco_object.py"
model = dict(backbone=dict(arch="ViT-L-14"))
