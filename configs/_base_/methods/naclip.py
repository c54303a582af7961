# Settings of sinahmr/NACLIP @ 0cac3a6: 10 steps of PAMR, NACLIP's default here too.
_base_ = ["../encoders/vit-b16.py", "../runtime.py"]
protocol = "paper"
model = dict(
    type="NACLIP",
    short_side=336,
    decode_head=dict(type="TextHead", logit_scale=40),
    test_cfg=dict(mode="slide", crop_size=224, stride=112),
)
