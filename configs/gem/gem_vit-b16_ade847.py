# No author states settings of GEM for ADE847: the unified protocol only.
_base_ = ["../_base_/datasets/ade847.py", "../_base_/methods/gem.py"]
protocol = "unified"
model = _base_.unified.model
