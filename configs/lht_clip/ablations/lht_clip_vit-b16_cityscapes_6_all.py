# ATR, SSR and SHE.
_base_ = "../lht_clip_vit-b16_cityscapes.py"
setting = "ATR + SSR + SHE"
