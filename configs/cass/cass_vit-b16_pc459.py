# No author states settings of CASS for PC459: the unified protocol only.
_base_ = ["../_base_/datasets/pc459.py", "../_base_/methods/cass.py"]
protocol = "unified"
model = dict(_base_.unified.model, **_base_.untuned)
unified = dict(model=_base_.untuned)
