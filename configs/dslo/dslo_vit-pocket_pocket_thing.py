# Over the small Stable Diffusion that this repository trained on its own scenes.
_base_ = ["../_base_/datasets/pocket_thing.py", "../_base_/methods/dslo.py"]
protocol = "unified"
# Other blocks than SD2's, because this network's latents are smaller.
model = dict(
    _base_.unified.model,
    test_cfg=dict(mode="whole"),
    backbone=dict(arch="auto", pretrained="pocket"),
    graph=dict(pretrained="pocket", blocks=["up_blocks.2", "up_blocks.3"]),
)
unified = dict(model=dict(test_cfg=dict(_delete_=True, mode="whole")))
