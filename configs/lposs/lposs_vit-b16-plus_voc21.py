# LPOSS+.
_base_ = "./lposs_vit-b16_voc21.py"
model = dict(type="LPOSSPlus")
