# Settings of mc-lan/ClearCLIP @ ad68a40.
_base_ = ["../encoders/vit-b16.py", "../runtime.py"]
protocol = "paper"
model = dict(
    type="ClearCLIP",
    short_side=448,
    decode_head=dict(type="TextHead", logit_scale=50),
    test_cfg=dict(mode="slide", crop_size=448, stride=224),
)
