# The pocket CLIP has no distraction channels: in none does a token come near 5 times the mean, so that this list, of an
# earlier pocket CLIP, changes nothing. ViT-B/16's has channels that this tower lacks.
_base_ = ["../_base_/datasets/pocket_all.py", "../_base_/methods/rf_clip.py"]
protocol = "unified"
model = dict(
    _base_.unified.model,
    backbone=dict(arch="auto", pretrained="pocket"),
    channels=[10, 12, 18, 26, 28, 79, 86, 95],
    **_base_.untuned,
)
unified = dict(model=_base_.untuned)
