# ATR, SSR and SHE.
_base_ = "../lht_clip_vit-b16_context59.py"
setting = "ATR + SSR + SHE"
