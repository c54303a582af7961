# DSLO over the logits of another method, here RF-CLIP's.
_base_ = "./dslo_vit-pocket-rfclip_pocket_all.py"
setting = "optimal path"
model = dict(mode="optimal_path")
