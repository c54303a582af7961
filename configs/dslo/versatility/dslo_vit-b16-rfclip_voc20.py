# "RF-CLIP B/16, w/ M.V." of the paper's table of other methods (supplement): DSLO's settings, over RF-CLIP's
# logits with RF-CLIP's settings for this dataset.
_base_ = "../dslo_vit-b16_voc20.py"
model = dict(base=dict(type="RFCLIP", gamma=0.4, alpha=0.02, t=0.1))
unified = dict(model=dict(base=dict(gamma=0.25, alpha=0.03, t=0.1)))
