# Row I of the paper's Table 2: raw logits, bilinear upsampling.
_base_ = "../dslo_vit-b16_coco_stuff164k.py"
setting = "baseline"
model = dict(mode="logits", upsampling="bilinear")
