# LPOSS+.
_base_ = "./lposs_vit-pocket_pocket_all.py"
model = dict(type="LPOSSPlus")
