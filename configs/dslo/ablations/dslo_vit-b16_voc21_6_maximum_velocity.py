# Row VI of the paper's Table 2: maximum velocity in place of KL.
_base_ = "../dslo_vit-b16_voc21.py"
setting = "+ M.V."
model = dict(mode="max_velocity")
