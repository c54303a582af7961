_base_ = "../clearclip/clearclip_vit-b16_ade20k.py"
model = dict(type="LHTCLIP", base=dict(type="ClearCLIP"))
