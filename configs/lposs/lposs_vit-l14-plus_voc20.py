# LPOSS+, unified protocol.
_base_ = "./lposs_vit-l14_voc20.py"
model = dict(type="LPOSSPlus")
