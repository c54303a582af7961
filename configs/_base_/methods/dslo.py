# Maximum velocity over Stable Diffusion 2's attention, on whole images; the paper names neither image size nor words
# [open], see docs/dslo.md.
_base_ = ["../encoders/vit-b16.py", "../runtime.py"]
protocol = "paper"
setting = "maximum velocity"
model = dict(
    type="DSLO",
    mode="max_velocity",
    graph=dict(type="StableDiffusionGraph"),
    test_cfg=dict(mode="whole"),
)
