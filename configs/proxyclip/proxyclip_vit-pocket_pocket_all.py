# The pocket DINO was never trained: its numbers are random. Patches of both networks are 8, so windows need no padding.
_base_ = ["../_base_/datasets/pocket_all.py", "../_base_/methods/proxyclip.py"]
protocol = "unified"
model = dict(
    _base_.unified.model,
    backbone=dict(arch="auto", pretrained="pocket"),
    vfm=dict(type="DINO", pretrained="pocket"),
    pad_to="patch",
)
