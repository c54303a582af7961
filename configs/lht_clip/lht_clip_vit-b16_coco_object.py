_base_ = "../sclip/sclip_vit-b16_coco_object.py"
model = dict(type="LHTCLIP", base=dict(type="SCLIP"))
