_base_ = "../clearclip/clearclip_vit-b16_context59.py"
model = dict(type="LHTCLIP", base=dict(type="ClearCLIP"))
