# "SC-CLIP B/16, w/ M.V." of the paper's table of other methods (supplement): DSLO's settings, over SC-CLIP's logits.
_base_ = "../dslo_vit-b16_voc21.py"
model = dict(base=dict(type="SCCLIP"))
