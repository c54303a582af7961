_base_ = "./resclip_vit-b16_ade20k.py"
model = dict(base=dict(type="ClearCLIP"))
