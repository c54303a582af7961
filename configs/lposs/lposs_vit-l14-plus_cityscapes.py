# LPOSS+, unified protocol.
_base_ = "./lposs_vit-l14_cityscapes.py"
model = dict(type="LPOSSPlus")
