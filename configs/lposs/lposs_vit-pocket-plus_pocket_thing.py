# LPOSS+.
_base_ = "./lposs_vit-pocket_pocket_thing.py"
model = dict(type="LPOSSPlus")
