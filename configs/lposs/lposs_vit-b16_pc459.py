# No author states settings of LPOSS for PC459: the unified protocol only.
_base_ = ["../_base_/datasets/pc459.py", "../_base_/methods/lposs.py"]
protocol = "unified"
model = dict(_base_.unified.model, **_base_.untuned)
unified = dict(model=_base_.untuned)
