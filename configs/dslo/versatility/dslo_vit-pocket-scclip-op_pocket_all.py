# DSLO over the logits of another method, here SC-CLIP's.
_base_ = "../dslo_vit-pocket-op_pocket_all.py"
model = dict(base=dict(type="SCCLIP"))
