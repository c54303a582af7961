# ATR and SSR.
_base_ = "../lht_clip_vit-b16_coco_object.py"
setting = "ATR + SSR"
model = dict(k=0)
