# A DINO of random numbers. With a margin, ties between heads are decided alike on all machines.
_base_ = ["../_base_/datasets/pocket_thing.py", "../_base_/methods/cass.py"]
protocol = "unified"
model = dict(
    _base_.unified.model,
    backbone=dict(arch="auto", pretrained="pocket"),
    vfm=dict(pretrained="pocket"),
    match_margin=0.01,
    **_base_.untuned,
)
unified = dict(model=_base_.untuned)
