_base_ = "../sclip/sclip_vit-b16_ade20k.py"
model = dict(type="LHTCLIP", base=dict(type="SCLIP"))
