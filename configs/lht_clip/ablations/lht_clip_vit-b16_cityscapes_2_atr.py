# ATR alone; over tau: tools/sweep.py with model.tau=0.2,0.4,0.5,0.8,0.9.
_base_ = "../lht_clip_vit-b16_cityscapes.py"
setting = "ATR"
model = dict(alpha=0, k=0)
