_base_ = "./gem_vit-b16-clearclip_coco_object.py"
model = dict(backbone=dict(arch="ViT-L-14"))
