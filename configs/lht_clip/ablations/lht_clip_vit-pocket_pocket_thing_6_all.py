# ATR, SSR and SHE.
_base_ = "../lht_clip_vit-pocket_pocket_thing.py"
setting = "ATR + SSR + SHE"
