# The pocket CLIP has no distraction channels: no channel of a token comes near 5 times the mean. These are the one that
# comes nearest (86) and the seven that are largest on average.
_base_ = ["../_base_/datasets/pocket_thing.py", "../_base_/methods/rf_clip.py"]
protocol = "unified"
model = dict(
    _base_.unified.model,
    backbone=dict(arch="auto", pretrained="pocket"),
    channels=[10, 12, 18, 26, 28, 79, 86, 95],
    **_base_.untuned,
)
unified = dict(model=_base_.untuned)
