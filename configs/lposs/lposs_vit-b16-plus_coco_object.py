# LPOSS+.
_base_ = "./lposs_vit-b16_coco_object.py"
model = dict(type="LPOSSPlus")
