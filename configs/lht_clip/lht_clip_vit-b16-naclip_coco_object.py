_base_ = "../naclip/naclip_vit-b16_coco_object.py"
setting = "NACLIP"
model = dict(type="LHTCLIP", base=dict(type="NACLIP"))
