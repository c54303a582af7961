# LPOSS+, unified protocol.
_base_ = "./lposs_vit-l14_pc459.py"
model = dict(type="LPOSSPlus")
