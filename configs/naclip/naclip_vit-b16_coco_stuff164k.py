# Settings of sinahmr/NACLIP @ 0cac3a6 for COCO-Stuff 164k: 10 steps of PAMR.
_base_ = ["../_base_/datasets/coco_stuff164k.py", "../_base_/encoders/vit-b16.py", "../_base_/runtime.py"]
protocol = "paper"
short_side = 336
model = dict(
    type="NACLIP",
    decode_head=dict(type="TextHead", vocabulary="coco_stuff164k", logit_scale=40),
    test_cfg=dict(mode="slide", crop_size=224, stride=112),
)
