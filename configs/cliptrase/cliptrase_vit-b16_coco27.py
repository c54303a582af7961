# The authors have scores on COCO-27 but state no settings: the unified protocol only, each window clustered by
# itself.
_base_ = ["../_base_/datasets/coco27.py", "../_base_/encoders/vit-b16.py", "../_base_/runtime.py"]
protocol = "unified"
model = dict(type="CLIPtrase", eps=0.7, min_samples=3)
