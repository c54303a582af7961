# Settings of wangf3014/SCLIP @ b56bd30 for ADE20K-150.
_base_ = ["../_base_/datasets/ade20k.py", "../_base_/encoders/vit-b16.py", "../_base_/runtime.py"]
protocol = "paper"
short_side = 336
model = dict(
    type="SCLIP",
    decode_head=dict(type="TextHead", vocabulary="ade20k", logit_scale=40),
    test_cfg=dict(mode="slide", crop_size=224, stride=112),
)
