# Settings of dahyun-kang/lavg @ 2db88e5: SCLIP's (wangf3014/SCLIP @ b56bd30), 8 masks at most, tau 0.3, images of 640
# pixels for DINO ViT-B/8; a local one: --cfg-options model.vfm.pretrained=/path/to/dino. With recorded masks,
# --cfg-options model.masks=/path/to/masks, no DINO is loaded.
_base_ = ["../encoders/vit-b16.py", "../runtime.py"]
protocol = "paper"
model = dict(
    type="LaVG",
    vfm=dict(type="DINO", pretrained="facebook/dino-vitb8"),
    short_side=336,
    decode_head=dict(type="TextHead", logit_scale=40),
    test_cfg=dict(mode="slide", crop_size=224, stride=112),
)
