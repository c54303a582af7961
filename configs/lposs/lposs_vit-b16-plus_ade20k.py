# LPOSS+.
_base_ = "./lposs_vit-b16_ade20k.py"
model = dict(type="LPOSSPlus")
