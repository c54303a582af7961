# The authors have scores on Cityscapes-27 but state no settings: the unified protocol only.
_base_ = ["../_base_/datasets/cityscapes27.py", "../_base_/methods/cliptrase.py"]
protocol = "unified"
model = dict(_base_.unified.model, eps=0.7, min_samples=3)
