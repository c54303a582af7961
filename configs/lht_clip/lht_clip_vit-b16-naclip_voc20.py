_base_ = "../naclip/naclip_vit-b16_voc20.py"
model = dict(type="LHTCLIP", base=dict(type="NACLIP"))
