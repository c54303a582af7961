_base_ = "./resclip_vit-b16_context59.py"
model = dict(base=dict(type="SCLIP"))
