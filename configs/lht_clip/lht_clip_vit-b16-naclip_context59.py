_base_ = "../naclip/naclip_vit-b16_context59.py"
model = dict(type="LHTCLIP", base=dict(type="NACLIP"))
