# Settings of mc-lan/ClearCLIP @ ad68a40, whose tables have a row of CLIP. short_side = 448 is in the leaves: a key of
# the dataset's file cannot be here. So is pad_to="patch", as leaves for the unified protocol alone are without it.
_base_ = ["../encoders/vit-b16.py", "../runtime.py"]
protocol = "paper"
model = dict(
    type="CLIP",
    decode_head=dict(type="TextHead", logit_scale=50),
    test_cfg=dict(mode="slide", crop_size=448, stride=224),
)
