# Settings of WalBouss/GEM @ 5fa677c: images stretched to 448 x 448, one template, the datasets' own names of classes.
# Maps are not stretched to [0, 1] (`normalize`): then every class is the best somewhere in every image.
# [open] On sets with background: 0.85 of the README, on probabilities of the 100 cos of its batched_forward; the README
# has no text for the background, class 0 here keeps its name.
# Leaves vit-b16-clearclip and vit-l14-clearclip are GEM as mc-lan/ClearCLIP @ ad68a40 runs it.
_base_ = ["../encoders/vit-b16.py", "../runtime.py"]
protocol = "paper"
model = dict(
    type="GEM",
    short_side=448,
    stretch_to_square=True,
    whole_upsampling="two_step",
    data_preprocessor=dict(type="CLIPPreprocessor", exact=True),
    backbone=dict(position_mode="antialiased"),
    decode_head=dict(type="TextHead", templates="photo", logit_scale=100),
    test_cfg=dict(mode="whole"),
)
