# No author states settings of LPOSS for ADE847: the unified protocol only.
_base_ = ["../_base_/datasets/ade847.py", "../_base_/methods/lposs.py"]
protocol = "unified"
model = dict(_base_.unified.model, **_base_.untuned)
unified = dict(model=_base_.untuned)
