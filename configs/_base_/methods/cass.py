# Settings of MICV-yonsei/CASS @ 228ecdd, with gamma, alpha and t per dataset as in its configs, PAMR off as in its
# README, and singular values as they are (eigenscaling=False) on VOC20 and Cityscapes. The authors' own file of DINO:
# --cfg-options model.vfm.pretrained=/path/to/dino_vitbase8_pretrain.pth
# The unified protocol tunes nothing per dataset: `untuned`, the medians of the eight benchmarks (t: 0.095, rounded).
_base_ = ["../encoders/vit-b16.py", "../runtime.py"]
protocol = "paper"
untuned = dict(gamma=0.25, alpha=0.03, t=0.1, prior_from="image", eigenscaling=True)
model = dict(
    type="CASS",
    vfm=dict(type="DINO", pretrained="facebook/dino-vitb8"),
    short_side=336,
    decode_head=dict(type="TextHead", logit_scale=40),
    test_cfg=dict(mode="slide", crop_size=224, stride=112),
)
