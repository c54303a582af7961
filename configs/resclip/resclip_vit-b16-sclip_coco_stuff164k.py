_base_ = "./resclip_vit-b16_coco_stuff164k.py"
model = dict(base=dict(type="SCLIP"))
