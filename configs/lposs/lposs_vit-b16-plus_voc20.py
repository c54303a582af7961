# LPOSS+.
_base_ = "./lposs_vit-b16_voc20.py"
model = dict(type="LPOSSPlus")
