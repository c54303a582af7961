_base_ = ["../_base_/datasets/pocket_thing.py", "../_base_/methods/lavg.py"]
protocol = "unified"
model = dict(
    _base_.unified.model,
    vfm=dict(pretrained="pocket"),
    cut_size=128,
    backbone=dict(arch="auto", pretrained="pocket"),
)
