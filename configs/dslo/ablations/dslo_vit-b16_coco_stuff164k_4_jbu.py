# Row IV of the paper's Table 2: joint bilateral upsampling.
_base_ = "../dslo_vit-b16_coco_stuff164k.py"
setting = "+ JBU"
model = dict(mode="kl")
