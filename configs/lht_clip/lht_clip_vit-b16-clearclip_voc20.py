_base_ = "../clearclip/clearclip_vit-b16_voc20.py"
setting = "ClearCLIP"
model = dict(type="LHTCLIP", base=dict(type="ClearCLIP"))
