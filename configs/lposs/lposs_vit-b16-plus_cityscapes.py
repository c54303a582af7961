# LPOSS+.
_base_ = "./lposs_vit-b16_cityscapes.py"
model = dict(type="LPOSSPlus")
