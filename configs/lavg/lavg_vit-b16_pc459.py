# No author states settings of LaVG for PC459: the unified protocol only.
_base_ = ["../_base_/datasets/pc459.py", "../_base_/methods/lavg.py"]
protocol = "unified"
model = _base_.unified.model
