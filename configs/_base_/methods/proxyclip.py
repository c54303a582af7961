# Settings of mc-lan/ProxyCLIP @ e7b767f, with DINO ViT-B/8 (vfm_model="dino").
_base_ = ["../encoders/vit-b16.py", "../runtime.py"]
protocol = "paper"
model = dict(
    type="ProxyCLIP",
    vfm=dict(type="DINO"),
    short_side=336,
    decode_head=dict(type="TextHead", logit_scale=40),
    test_cfg=dict(mode="slide", crop_size=336, stride=112),
)
