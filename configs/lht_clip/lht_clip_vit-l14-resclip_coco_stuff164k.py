# ViT-L/14, as for ViT-B/16; SSR takes blocks 20 to 23.
_base_ = "./lht_clip_vit-b16-resclip_coco_stuff164k.py"
model = dict(backbone=dict(arch="ViT-L-14"))
