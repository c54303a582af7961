# Settings of wangf3014/SCLIP @ b56bd30 for COCO-Stuff 164k.
_base_ = ["../_base_/datasets/coco_stuff164k.py", "../_base_/encoders/vit-b16.py", "../_base_/runtime.py"]
protocol = "paper"
short_side = 448
model = dict(
    type="SCLIP",
    decode_head=dict(type="TextHead", vocabulary="coco_stuff164k", logit_scale=40),
    test_cfg=dict(mode="slide", crop_size=224, stride=112),
)
