# Settings of YuHengsss/Trident @ a93b346, with DINO ViT-B/16 and SAM ViT-B. Labels are refined by SAM's masks: that is
# off in its configs, and on (--sam_refine) in the script by which it is evaluated.
# The unified protocol tunes nothing per dataset: `untuned`, the settings of most benchmarks, coarse_thresh the median
# of the eight.
_base_ = ["../encoders/vit-b16.py", "../runtime.py"]
protocol = "paper"
untuned = dict(cos_fac=1.2, refine_neg_cos=True, halves=False, coarse_thresh=0.15)
model = dict(
    type="Trident",
    vfm=dict(type="DINO", pretrained="facebook/dino-vitb16"),
    sam=dict(type="SAM", pretrained="facebook/sam-vit-base", multimask=False),
    short_side=448,
    sam_iou_thresh=0.8,
    decode_head=dict(type="TextHead", logit_scale=40),
    test_cfg=dict(mode="slide", crop_size=336, stride=224),
)
