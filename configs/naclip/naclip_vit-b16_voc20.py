# Settings of sinahmr/NACLIP @ 0cac3a6 for VOC20: whole image, 10 steps of PAMR.
_base_ = ["../_base_/datasets/voc20.py", "../_base_/encoders/vit-b16.py", "../_base_/runtime.py"]
protocol = "paper"
short_side = 336
model = dict(
    type="NACLIP",
    decode_head=dict(type="TextHead", vocabulary="voc20", logit_scale=40),
    test_cfg=dict(mode="whole"),
)
