_base_ = "./resclip_vit-pocket_pocket_all.py"
model = dict(base=dict(type="ClearCLIP"))
