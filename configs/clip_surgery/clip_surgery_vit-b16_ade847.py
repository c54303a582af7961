# No author states settings of CLIP Surgery for ADE847: the unified protocol only.
_base_ = ["../_base_/datasets/ade847.py", "../_base_/methods/clip_surgery.py"]
protocol = "unified"
model = _base_.unified.model
