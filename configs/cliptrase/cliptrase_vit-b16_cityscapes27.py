# The authors have scores on Cityscapes-27 but state no settings: the unified protocol only, each window clustered by
# itself.
_base_ = ["../_base_/datasets/cityscapes27.py", "../_base_/encoders/vit-b16.py", "../_base_/runtime.py"]
protocol = "unified"
model = dict(type="CLIPtrase", eps=0.7, min_samples=3)
