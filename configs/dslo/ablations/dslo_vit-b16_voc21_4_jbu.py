# Row IV of the paper's Table 2: joint bilateral upsampling.
_base_ = "../dslo_vit-b16_voc21.py"
setting = "+ JBU"
model = dict(mode="kl")
