# Settings of SuleBai/SC-CLIP @ 0417ba9. Blocks and cls_weight follow the tower: SCCLIP's defaults.
_base_ = ["../encoders/vit-b16.py", "../runtime.py"]
protocol = "paper"
model = dict(
    type="SCCLIP",
    short_side=336,
    decode_head=dict(type="TextHead", logit_scale=40),
    test_cfg=dict(mode="slide", crop_size=224, stride=112),
)
