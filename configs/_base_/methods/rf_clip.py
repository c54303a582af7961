# Settings of liblacklucy/RF-CLIP @ c2b333e, with gamma, alpha and t per dataset as in its configs (they are those of
# MICV-yonsei/CASS @ 228ecdd); PAMR is off, as there. The masks of VOC are the official ones, not SegmentationClassAug.
# The unified protocol tunes nothing per dataset: `untuned`, the medians of the eight benchmarks (t: 0.095, rounded).
_base_ = ["../encoders/vit-b16.py", "../runtime.py"]
protocol = "paper"
untuned = dict(gamma=0.25, alpha=0.03, t=0.1, prior_from="image")
model = dict(
    type="RFCLIP",
    short_side=336,
    decode_head=dict(type="TextHead", logit_scale=40),
    test_cfg=dict(mode="slide", crop_size=224, stride=112),
)
