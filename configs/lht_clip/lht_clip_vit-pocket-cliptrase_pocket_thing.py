# For windows, see _base_/methods/cliptrase.py.
_base_ = "./lht_clip_vit-pocket_pocket_thing.py"
model = dict(base=dict(type="CLIPtrase", eps=0.6, min_samples=3))
