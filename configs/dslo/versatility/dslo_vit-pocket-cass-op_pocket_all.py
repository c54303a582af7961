# DSLO over the logits of another method, here CASS's.
_base_ = "./dslo_vit-pocket-cass_pocket_all.py"
setting = "optimal path"
model = dict(mode="optimal_path")
