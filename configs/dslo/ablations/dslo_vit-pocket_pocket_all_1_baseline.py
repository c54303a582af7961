# Row I of the paper's Table 2: raw logits, bilinear upsampling.
_base_ = "../dslo_vit-pocket_pocket_all.py"
setting = "baseline"
model = dict(mode="logits", upsampling="bilinear")
