_base_ = "../clearclip/clearclip_vit-pocket_pocket_all.py"
setting = "ClearCLIP"
model = dict(type="LHTCLIP", base=dict(type="ClearCLIP"))
