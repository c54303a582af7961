_base_ = "./clip_surgery_vit-b16_coco_stuff164k.py"
model = dict(backbone=dict(arch="ViT-L-14"))
