# Settings of sinahmr/NACLIP @ 0cac3a6 for VOC21: whole image, 10 steps of PAMR.
_base_ = ["../_base_/datasets/voc21.py", "../_base_/encoders/vit-b16.py", "../_base_/runtime.py"]
protocol = "paper"
short_side = 336
model = dict(
    type="NACLIP",
    decode_head=dict(type="TextHead", vocabulary="voc21", logit_scale=40, prob_threshold=0.1),
    test_cfg=dict(mode="whole"),
)
