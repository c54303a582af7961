# ATR, SSR and SHE.
_base_ = "../lht_clip_vit-b16_context60.py"
setting = "ATR + SSR + SHE"
