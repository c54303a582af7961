# The pocket DINO is random, and shows only that the pipeline works.
_base_ = ["../_base_/datasets/pocket_thing.py", "../_base_/methods/lposs.py"]
protocol = "unified"
model = dict(
    _base_.unified.model,
    backbone=dict(arch="auto", pretrained="pocket", quick_gelu=None),
    vfm=dict(type="DINO", pretrained="pocket"),
)
