# Settings of wangf3014/SCLIP @ b56bd30 for VOC21.
_base_ = ["../_base_/datasets/voc21.py", "../_base_/encoders/vit-b16.py", "../_base_/runtime.py"]
protocol = "paper"
short_side = 336
model = dict(
    type="SCLIP",
    decode_head=dict(type="TextHead", vocabulary="voc21", logit_scale=65, prob_threshold=0.1, area_threshold=0.1),
    test_cfg=dict(mode="slide", crop_size=224, stride=112),
)
