_base_ = "./resclip_vit-b16_voc20.py"
model = dict(base=dict(type="ClearCLIP"))
