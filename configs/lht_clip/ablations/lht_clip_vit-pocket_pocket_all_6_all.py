# ATR, SSR and SHE.
_base_ = "../lht_clip_vit-pocket_pocket_all.py"
setting = "ATR + SSR + SHE"
