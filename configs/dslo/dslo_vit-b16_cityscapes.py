# Maximum velocity on Cityscapes: whole images; the paper names neither image size nor words [open], see docs/dslo.md.
_base_ = ["../_base_/datasets/cityscapes.py", "../_base_/encoders/vit-b16.py", "../_base_/runtime.py"]
protocol = "paper"
setting = "maximum velocity"
short_side = 560
model = dict(
    type="DSLO",
    mode="max_velocity",
    graph=dict(type="StableDiffusionGraph"),
    decode_head=dict(type="TextHead", vocabulary="cityscapes"),
    test_cfg=dict(mode="whole"),
)
# No windows here either: "unified" concerns words, image size and threshold.
unified = dict(model=dict(test_cfg=dict(_delete_=True, mode="whole")))
