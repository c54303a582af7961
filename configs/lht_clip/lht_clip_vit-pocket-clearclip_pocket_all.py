_base_ = "./lht_clip_vit-pocket_pocket_all.py"
model = dict(base=dict(type="ClearCLIP"))
