# No author states settings of CASS for ADE847: the unified protocol only.
_base_ = ["../_base_/datasets/ade847.py", "../_base_/methods/cass.py"]
protocol = "unified"
model = dict(_base_.unified.model, **_base_.untuned)
unified = dict(model=_base_.untuned)
