# LPOSS+, unified protocol.
_base_ = "./lposs_vit-l14_coco_stuff164k.py"
model = dict(type="LPOSSPlus")
