_base_ = "../clearclip/clearclip_vit-b16_coco_object.py"
model = dict(type="LHTCLIP", base=dict(type="ClearCLIP"))
