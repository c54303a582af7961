_base_ = "./lht_clip_vit-pocket_pocket_thing.py"
model = dict(base=dict(type="ClearCLIP"))
