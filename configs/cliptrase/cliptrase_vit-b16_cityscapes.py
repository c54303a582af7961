# The authors state no settings of CLIPtrase for Cityscapes: the unified protocol only, each window clustered by itself.
_base_ = ["../_base_/datasets/cityscapes.py", "../_base_/encoders/vit-b16.py", "../_base_/runtime.py"]
protocol = "unified"
model = dict(type="CLIPtrase", eps=0.7, min_samples=3)
