# Settings of mc-lan/ClearCLIP @ ad68a40 for COCO-Stuff 164k.
_base_ = ["../_base_/datasets/coco_stuff164k.py", "../_base_/encoders/vit-b16.py", "../_base_/runtime.py"]
protocol = "paper"
short_side = 448
model = dict(
    type="ClearCLIP",
    decode_head=dict(type="TextHead", vocabulary="coco_stuff164k_clearclip", logit_scale=50),
    test_cfg=dict(mode="slide", crop_size=448, stride=224),
)
