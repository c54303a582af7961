# LPOSS+, unified protocol.
_base_ = "./lposs_vit-l14_ade20k.py"
model = dict(type="LPOSSPlus")
