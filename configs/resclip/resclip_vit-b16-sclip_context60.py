_base_ = "./resclip_vit-b16_context60.py"
model = dict(base=dict(type="SCLIP"))
