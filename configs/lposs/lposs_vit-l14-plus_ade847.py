# LPOSS+, unified protocol.
_base_ = "./lposs_vit-l14_ade847.py"
model = dict(type="LPOSSPlus")
