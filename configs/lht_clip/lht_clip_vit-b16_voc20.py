_base_ = "../sclip/sclip_vit-b16_voc20.py"
model = dict(type="LHTCLIP", base=dict(type="SCLIP"))
