# LPOSS+.
_base_ = "./lposs_vit-b16_context59.py"
model = dict(type="LPOSSPlus")
