_base_ = "../clearclip/clearclip_vit-b16_voc20.py"
model = dict(type="LHTCLIP", base=dict(type="ClearCLIP"))
