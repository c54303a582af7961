# "SC-CLIP L/14, w/ O.P." of the paper's table of other methods (supplement): DSLO's settings, over SC-CLIP's logits.
_base_ = "../dslo_vit-l14-op_cityscapes.py"
model = dict(base=dict(type="SCCLIP"))
