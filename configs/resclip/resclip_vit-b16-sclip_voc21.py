_base_ = "./resclip_vit-b16_voc21.py"
model = dict(base=dict(type="SCLIP"))
