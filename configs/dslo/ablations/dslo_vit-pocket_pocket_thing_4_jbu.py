# Row IV of the paper's Table 2: joint bilateral upsampling.
_base_ = "../dslo_vit-pocket_pocket_thing.py"
setting = "+ JBU"
model = dict(mode="kl")
