# Over networks of random numbers: what DINO and SAM say here means nothing.
_base_ = ["../_base_/datasets/pocket_all.py", "../_base_/methods/trident.py"]
protocol = "unified"
model = dict(
    _base_.unified.model,
    backbone=dict(arch="auto", pretrained="pocket"),
    vfm=dict(pretrained="pocket"),
    sam=dict(pretrained="pocket"),
    **_base_.untuned,
)
unified = dict(model=_base_.untuned)
