_base_ = "../naclip/naclip_vit-b16_context60.py"
model = dict(type="LHTCLIP", base=dict(type="NACLIP"))
