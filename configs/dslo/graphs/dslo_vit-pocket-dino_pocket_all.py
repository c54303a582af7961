# DSLO over the attention of a small DINO of random numbers.
_base_ = "../dslo_vit-pocket_pocket_all.py"
model = dict(graph=dict(_delete_=True, type="DINO", pretrained="pocket"))
