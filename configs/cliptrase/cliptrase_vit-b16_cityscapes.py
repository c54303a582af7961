# The authors state no settings of CLIPtrase for Cityscapes: the unified protocol only.
_base_ = ["../_base_/datasets/cityscapes.py", "../_base_/methods/cliptrase.py"]
protocol = "unified"
model = dict(_base_.unified.model, eps=0.7, min_samples=3)
