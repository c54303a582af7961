# ATR and SHE; over the number of heads: model.k=1,10,30,50.
_base_ = "../lht_clip_vit-b16_context60.py"
setting = "ATR + SHE"
model = dict(alpha=0)
