_base_ = "./lht_clip_vit-pocket_pocket_thing.py"
setting = "NACLIP"
model = dict(base=dict(type="NACLIP"))
