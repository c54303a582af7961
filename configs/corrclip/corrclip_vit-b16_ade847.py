# No author states settings of CorrCLIP for ADE847: the unified protocol only. Nor are there maps.
_base_ = ["../_base_/datasets/ade847.py", "../_base_/methods/corrclip.py"]
protocol = "unified"
model = dict(_base_.unified.model, masks="data/region_masks/ade847", **_base_.openai)
unified = dict(model=_base_.openai)
