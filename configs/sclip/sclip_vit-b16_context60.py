# Settings of wangf3014/SCLIP @ b56bd30 for Context60.
_base_ = ["../_base_/datasets/context60.py", "../_base_/encoders/vit-b16.py", "../_base_/runtime.py"]
protocol = "paper"
short_side = 336
model = dict(
    type="SCLIP",
    decode_head=dict(type="TextHead", vocabulary="context60", logit_scale=50, prob_threshold=0.1),
    test_cfg=dict(mode="slide", crop_size=224, stride=112),
)
