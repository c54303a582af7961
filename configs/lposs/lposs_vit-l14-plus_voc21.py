# LPOSS+, unified protocol.
_base_ = "./lposs_vit-l14_voc21.py"
model = dict(type="LPOSSPlus")
