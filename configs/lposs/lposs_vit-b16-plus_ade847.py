# LPOSS+, unified protocol.
_base_ = "./lposs_vit-b16_ade847.py"
model = dict(type="LPOSSPlus")
