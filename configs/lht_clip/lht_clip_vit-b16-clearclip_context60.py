_base_ = "../clearclip/clearclip_vit-b16_context60.py"
model = dict(type="LHTCLIP", base=dict(type="ClearCLIP"))
