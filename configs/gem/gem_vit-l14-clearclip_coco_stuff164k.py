_base_ = "./gem_vit-b16-clearclip_coco_stuff164k.py"
model = dict(backbone=dict(arch="ViT-L-14"))
