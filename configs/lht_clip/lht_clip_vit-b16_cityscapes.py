_base_ = "../sclip/sclip_vit-b16_cityscapes.py"
model = dict(type="LHTCLIP", base=dict(type="SCLIP"))
