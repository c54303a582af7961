# Settings of mc-lan/ClearCLIP @ ad68a40, whose tables have a row of CLIP. pad_to="patch" is in the leaves, as leaves
# for the unified protocol alone are without it.
_base_ = ["../encoders/vit-b16.py", "../runtime.py"]
protocol = "paper"
model = dict(
    type="CLIP",
    short_side=448,
    decode_head=dict(type="TextHead", logit_scale=50),
    test_cfg=dict(mode="slide", crop_size=448, stride=224),
)
