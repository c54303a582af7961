# Row VII of the paper's Table 2: the mean of both maps.
_base_ = "../dslo_vit-b16_voc21.py"
setting = "O.P. + M.V."
model = dict(mode="fusion")
