# No author states settings of SC-CLIP for ADE847: the unified protocol only.
_base_ = ["../_base_/datasets/ade847.py", "../_base_/methods/sc_clip.py"]
protocol = "unified"
model = _base_.unified.model
