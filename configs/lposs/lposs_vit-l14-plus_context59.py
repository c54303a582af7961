# LPOSS+, unified protocol.
_base_ = "./lposs_vit-l14_context59.py"
model = dict(type="LPOSSPlus")
