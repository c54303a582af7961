# CLIPtrase has no settings of its own for Cityscapes: the unified protocol only.
_base_ = ["../_base_/datasets/cityscapes.py", "../_base_/methods/lht_clip.py"]
protocol = "unified"
model = dict(_base_.unified.model, base=dict(eps=0.7, min_samples=3))
