# DSLO over the logits of another method, here CASS's.
_base_ = "../dslo_vit-pocket_pocket_all.py"
model = dict(base=dict(type="CASS", vfm=dict(type="DINO", pretrained="pocket"), match_margin=0.01))
