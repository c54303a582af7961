# "SC-CLIP L/14, w/ M.V." of the paper's table of other methods (supplement): DSLO's settings, over SC-CLIP's logits.
_base_ = "../dslo_vit-l14_context60.py"
model = dict(base=dict(type="SCCLIP"))
