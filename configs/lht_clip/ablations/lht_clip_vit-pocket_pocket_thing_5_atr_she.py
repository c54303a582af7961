# ATR and SHE; over the number of heads: model.k=1,5,10,20.
_base_ = "../lht_clip_vit-pocket_pocket_thing.py"
setting = "ATR + SHE"
model = dict(alpha=0)
