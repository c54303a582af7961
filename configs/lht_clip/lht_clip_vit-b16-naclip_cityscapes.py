_base_ = "../naclip/naclip_vit-b16_cityscapes.py"
model = dict(type="LHTCLIP", base=dict(type="NACLIP"))
