# Settings of the demo of xmed-lab/CLIP_Surgery @ d4696d4 at its higher resolution: images stretched to 512 x 512, 85
# templates. The demo's names of classes for Context59; for the other datasets, which it does not have, their own.
# [open] On sets with background: scale and threshold of the unified protocol, as nothing is published.
_base_ = ["../encoders/vit-b16.py", "../runtime.py"]
protocol = "paper"
model = dict(
    type="CLIPSurgery",
    short_side=512,
    stretch_to_square=True,
    data_preprocessor=dict(type="CLIPPreprocessor", exact=True),
    backbone=dict(position_mode="bilinear"),
    decode_head=dict(type="TextHead", templates="imagenet85", logit_scale=40),
    test_cfg=dict(mode="whole"),
)
