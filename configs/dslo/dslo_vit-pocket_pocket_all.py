# Over the small Stable Diffusion that this repository trained on its own scenes.
_base_ = ["../_base_/datasets/pocket_all.py", "../_base_/methods/dslo.py"]
protocol = "unified"
# Chosen on pocket, see docs/dslo.md: theta, and the blocks, because this network's latents are smaller than SD2's.
model = dict(
    _base_.unified.model,
    test_cfg=dict(mode="whole"),
    backbone=dict(arch="auto", pretrained="pocket"),
    theta=0.1,
    graph=dict(pretrained="pocket", blocks=["up_blocks.2", "up_blocks.3"]),
)
unified = dict(model=dict(test_cfg=dict(_delete_=True, mode="whole")))
