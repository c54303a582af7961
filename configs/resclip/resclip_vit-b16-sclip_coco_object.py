_base_ = "./resclip_vit-b16_coco_object.py"
model = dict(base=dict(type="SCLIP"))
