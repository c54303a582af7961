_base_ = "../naclip/naclip_vit-b16_ade20k.py"
model = dict(type="LHTCLIP", base=dict(type="NACLIP"))
