# [open] No threshold is stated for MaskCLIP: as for CLIP.
_base_ = ["../_base_/datasets/coco_object.py", "../_base_/methods/maskclip.py"]
model = dict(pad_to="patch", decode_head=dict(vocabulary="coco_object_clearclip", prob_threshold=0.1))
