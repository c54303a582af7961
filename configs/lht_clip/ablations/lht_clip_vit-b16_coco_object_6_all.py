# ATR, SSR and SHE.
_base_ = "../lht_clip_vit-b16_coco_object.py"
setting = "ATR + SSR + SHE"
