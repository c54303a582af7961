# No author states settings of CorrCLIP for PC459: the unified protocol only. Its images are Context60's.
_base_ = ["../_base_/datasets/pc459.py", "../_base_/methods/corrclip.py"]
protocol = "unified"
model = dict(_base_.unified.model, masks="data/region_masks/context", **_base_.openai)
unified = dict(model=_base_.openai)
