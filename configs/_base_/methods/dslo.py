# Maximum velocity over Stable Diffusion 2's attention, on whole images; the paper names neither image size nor words
# [open], see docs/methods/dslo.md.
# Leaves take the windows out of their dataset's `unified` too: there it concerns words, image size and threshold.
_base_ = ["../encoders/vit-b16.py", "../runtime.py"]
protocol = "paper"
setting = "maximum velocity"
model = dict(
    type="DSLO",
    short_side=336,
    mode="max_velocity",
    graph=dict(type="StableDiffusion"),
    decode_head=dict(type="TextHead"),
    test_cfg=dict(mode="whole"),
)
