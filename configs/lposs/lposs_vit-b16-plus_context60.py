# LPOSS+.
_base_ = "./lposs_vit-b16_context60.py"
model = dict(type="LPOSSPlus")
