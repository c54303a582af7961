# DSLO over the logits of another method, here RF-CLIP's, with the channels that it takes on pocket.
_base_ = "../dslo_vit-pocket_pocket_all.py"
model = dict(base=dict(type="RFCLIP", channels=[10, 12, 18, 26, 28, 79, 86, 95]))
