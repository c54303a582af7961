_base_ = "../clearclip/clearclip_vit-b16_cityscapes.py"
model = dict(type="LHTCLIP", base=dict(type="ClearCLIP"))
