_base_ = "./resclip_vit-pocket_pocket_thing.py"
model = dict(base=dict(type="SCLIP"))
