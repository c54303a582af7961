_base_ = "../sclip/sclip_vit-b16_voc21.py"
model = dict(type="LHTCLIP", base=dict(type="SCLIP"))
