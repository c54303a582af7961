_base_ = "../clearclip/clearclip_vit-b16_coco_stuff164k.py"
model = dict(type="LHTCLIP", base=dict(type="ClearCLIP"))
