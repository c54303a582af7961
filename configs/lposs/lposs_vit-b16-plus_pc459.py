# LPOSS+, unified protocol.
_base_ = "./lposs_vit-b16_pc459.py"
model = dict(type="LPOSSPlus")
