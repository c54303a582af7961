# Settings of mc-lan/ClearCLIP @ ad68a40 for ADE20K-150.
_base_ = ["../_base_/datasets/ade20k.py", "../_base_/encoders/vit-b16.py", "../_base_/runtime.py"]
protocol = "paper"
short_side = 448
model = dict(
    type="CLIP",
    pad_to="patch",
    decode_head=dict(type="TextHead", vocabulary="ade20k_clearclip", logit_scale=50),
    test_cfg=dict(mode="slide", crop_size=448, stride=224),
)
