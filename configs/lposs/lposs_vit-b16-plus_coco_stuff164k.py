# LPOSS+.
_base_ = "./lposs_vit-b16_coco_stuff164k.py"
model = dict(type="LPOSSPlus")
