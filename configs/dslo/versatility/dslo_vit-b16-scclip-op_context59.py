# "SC-CLIP B/16, w/ O.P." of the paper's table of other methods (supplement): DSLO's settings, over SC-CLIP's logits.
_base_ = "../dslo_vit-b16-op_context59.py"
model = dict(base=dict(type="SCCLIP"))
