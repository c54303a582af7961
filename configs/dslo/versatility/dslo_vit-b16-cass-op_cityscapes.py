# "CASS B/16, w/ O.P." of the paper's table of other methods (supplement): DSLO's settings, over CASS's logits with
# CASS's settings for this dataset.
_base_ = "./dslo_vit-b16-cass_cityscapes.py"
setting = "optimal path"
model = dict(mode="optimal_path")
