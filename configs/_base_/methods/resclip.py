# Settings of yvhangyang/ResCLIP @ 0e085f7, which tunes rcs_weights, sfr_weights and label_threshold for each dataset.
# The unified protocol takes ResCLIP's defaults everywhere, which are those for Context59 (`untuned`).
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
