# ATR and SSR.
_base_ = "../lht_clip_vit-pocket_pocket_all.py"
setting = "ATR + SSR"
model = dict(k=0)
