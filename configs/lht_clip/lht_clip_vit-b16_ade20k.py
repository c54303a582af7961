_base_ = "../sclip/sclip_vit-b16_ade20k.py"
setting = "SCLIP"
model = dict(type="LHTCLIP", base=dict(type="SCLIP"))
