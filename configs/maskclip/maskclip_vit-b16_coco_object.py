# Settings of mc-lan/ClearCLIP @ ad68a40 for COCO-Object; [open] no threshold is stated for MaskCLIP: as for CLIP.
_base_ = ["../_base_/datasets/coco_object.py", "../_base_/encoders/vit-b16.py", "../_base_/runtime.py"]
protocol = "paper"
short_side = 448
model = dict(
    type="MaskCLIP",
    pad_to="patch",
    decode_head=dict(type="TextHead", vocabulary="coco_object_clearclip", logit_scale=50, prob_threshold=0.1),
    test_cfg=dict(mode="slide", crop_size=448, stride=224),
)
