# Settings of mc-lan/ClearCLIP @ ad68a40 for Context60; [open] its threshold for the CLIP row is not stated:
# the one that mc-lan/ProxyCLIP @ e7b767f, by the same authors, notes for CLIP.
_base_ = ["../_base_/datasets/context60.py", "../_base_/encoders/vit-b16.py", "../_base_/runtime.py"]
protocol = "paper"
short_side = 448
model = dict(
    type="CLIP",
    pad_to="patch",
    decode_head=dict(type="TextHead", vocabulary="context60_clearclip", logit_scale=50, prob_threshold=0.05),
    test_cfg=dict(mode="slide", crop_size=448, stride=224),
)
