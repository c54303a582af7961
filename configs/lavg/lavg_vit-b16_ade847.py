# No author states settings of LaVG for ADE847: the unified protocol only.
_base_ = ["../_base_/datasets/ade847.py", "../_base_/methods/lavg.py"]
protocol = "unified"
model = _base_.unified.model
