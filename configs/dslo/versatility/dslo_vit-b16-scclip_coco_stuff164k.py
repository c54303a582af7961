# "SC-CLIP B/16, w/ M.V." of the paper's table of other methods (supplement): DSLO's settings, over SC-CLIP's logits.
_base_ = "../dslo_vit-b16_coco_stuff164k.py"
model = dict(base=dict(type="SCCLIP"))
