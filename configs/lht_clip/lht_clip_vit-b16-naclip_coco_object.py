_base_ = "../naclip/naclip_vit-b16_coco_object.py"
model = dict(type="LHTCLIP", base=dict(type="NACLIP"))
