# [open] The threshold for the CLIP row is not stated: the one that mc-lan/ProxyCLIP @ e7b767f, by the same authors,
# notes for CLIP.
_base_ = ["../_base_/datasets/coco_object.py", "../_base_/methods/clip.py"]
model = dict(pad_to="patch", decode_head=dict(vocabulary="coco_object_clearclip", prob_threshold=0.1))
