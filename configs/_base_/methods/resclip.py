# Settings of yvhangyang/ResCLIP @ 0e085f7. It tunes rcs_weights, sfr_weights and label_threshold for each dataset, in its
# configs; the unified protocol takes ResCLIP's defaults here, those for Context59, everywhere.
_base_ = ["../encoders/vit-b16.py", "../runtime.py"]
protocol = "paper"
model = dict(
    type="ResCLIP",
    base=dict(type="NACLIP"),
    short_side=336,
    decode_head=dict(type="TextHead", logit_scale=40),
    test_cfg=dict(mode="slide", crop_size=224, stride=112),
)
untuned = dict(rcs_weights=(2.0, 0.4), sfr_weights=(1.8, 0.7), label_threshold=0.25)
