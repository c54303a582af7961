_base_ = "../clearclip/clearclip_vit-b16_voc21.py"
model = dict(type="LHTCLIP", base=dict(type="ClearCLIP"))
