# The pocket DINO's numbers are random: it says which patches have alike colours and places, and was never trained.
_base_ = ["../_base_/datasets/pocket_thing.py", "../_base_/methods/proxyclip.py"]
protocol = "unified"
model = dict(
    _base_.unified.model,
    backbone=dict(arch="auto", pretrained="pocket"),
    vfm=dict(type="DINO", pretrained="pocket"),
)
