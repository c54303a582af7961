# Unified protocol at the scale of the pocket CLIP (trained on 64 px): the same settings for every method.
_base_ = ["../_base_/datasets/pocket_thing.py", "../_base_/encoders/vit-pocket.py", "../_base_/runtime.py"]
protocol = "unified"
model = dict(
    type="CLIP",
    decode_head=dict(type="TextHead", vocabulary="pocket_thing", logit_scale=40, prob_threshold=0.1),
    test_cfg=dict(mode="slide", crop_size=64, stride=32),
)
