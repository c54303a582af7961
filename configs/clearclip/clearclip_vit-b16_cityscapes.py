# Settings of mc-lan/ClearCLIP @ ad68a40 for Cityscapes: windows of 224 side by side.
_base_ = ["../_base_/datasets/cityscapes.py", "../_base_/encoders/vit-b16.py", "../_base_/runtime.py"]
protocol = "paper"
short_side = 448
model = dict(
    type="ClearCLIP",
    decode_head=dict(type="TextHead", vocabulary="cityscapes_clearclip", logit_scale=50),
    test_cfg=dict(mode="slide", crop_size=224, stride=224),
)
