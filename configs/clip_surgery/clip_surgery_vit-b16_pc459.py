# No author states settings of CLIP Surgery for PC459: the unified protocol only.
_base_ = ["../_base_/datasets/pc459.py", "../_base_/methods/clip_surgery.py"]
protocol = "unified"
model = _base_.unified.model
