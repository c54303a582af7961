# LHT-CLIP around CLIPtrase with its settings for 336 pixels; the paper does not evaluate this base.
_base_ = ["../_base_/datasets/centre_square/coco_object.py", "../_base_/encoders/vit-b16.py", "../_base_/runtime.py"]
protocol = "paper"
setting = "CLIPtrase, 336 pixels"
short_side = 336
model = dict(
    type="LHTCLIP",
    base=dict(type="CLIPtrase", eps=1.1, min_samples=7),
    decode_head=dict(type="TextHead", vocabulary="coco_object_cliptrase"),
    test_cfg=dict(mode="whole"),
)
# Windows of 224 pixels, each clustered by itself.
unified = dict(setting="CLIPtrase", model=dict(base=dict(eps=0.7, min_samples=3)))
