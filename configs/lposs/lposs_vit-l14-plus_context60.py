# LPOSS+, unified protocol.
_base_ = "./lposs_vit-l14_context60.py"
model = dict(type="LPOSSPlus")
