# LPOSS+, unified protocol.
_base_ = "./lposs_vit-l14_coco_object.py"
model = dict(type="LPOSSPlus")
