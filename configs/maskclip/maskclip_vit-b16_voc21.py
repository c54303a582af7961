# [open] No threshold is stated for MaskCLIP: as for CLIP.
_base_ = ["../_base_/datasets/voc21.py", "../_base_/methods/maskclip.py"]
model = dict(pad_to="patch", decode_head=dict(vocabulary="voc21_clearclip", prob_threshold=0.2))
