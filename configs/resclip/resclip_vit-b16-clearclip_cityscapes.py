_base_ = "./resclip_vit-b16_cityscapes.py"
model = dict(base=dict(type="ClearCLIP"))
