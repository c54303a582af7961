# SSR alone; over its blocks: model.layers=[9,11],[10,11],[11,11]; over model.alpha=0.05,0.1,0.2.
_base_ = "../lht_clip_vit-pocket_pocket_thing.py"
setting = "SSR"
model = dict(tau=1, k=0)
