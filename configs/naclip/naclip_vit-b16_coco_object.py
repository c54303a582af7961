# Settings of sinahmr/NACLIP @ 0cac3a6 for COCO-Object: 10 steps of PAMR.
_base_ = ["../_base_/datasets/coco_object.py", "../_base_/encoders/vit-b16.py", "../_base_/runtime.py"]
protocol = "paper"
short_side = 336
model = dict(
    type="NACLIP",
    decode_head=dict(type="TextHead", vocabulary="coco_object", logit_scale=40, prob_threshold=0.1),
    test_cfg=dict(mode="slide", crop_size=224, stride=112),
)
