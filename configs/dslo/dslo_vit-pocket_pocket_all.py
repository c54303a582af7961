# Over the small Stable Diffusion that this repository trained on its own scenes.
_base_ = ["../_base_/datasets/pocket_all.py", "../_base_/encoders/vit-pocket.py", "../_base_/runtime.py"]
protocol = "unified"
setting = "maximum velocity"
# Chosen on pocket, see docs/dslo.md: theta, and the blocks, because this network's latents are smaller than SD2's.
model = dict(
    type="DSLO",
    mode="max_velocity",
    theta=0.1,
    graph=dict(type="StableDiffusionGraph", pretrained="pocket", blocks=["up_blocks.2", "up_blocks.3"]),
)
unified = dict(model=dict(test_cfg=dict(_delete_=True, mode="whole")))
