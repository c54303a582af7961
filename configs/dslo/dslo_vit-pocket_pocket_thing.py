# Over the small Stable Diffusion that this repository trained on its own scenes.
_base_ = ["../_base_/datasets/pocket_thing.py", "../_base_/encoders/vit-pocket.py", "../_base_/runtime.py"]
protocol = "unified"
setting = "maximum velocity"
model = dict(type="DSLO", mode="max_velocity", graph=dict(type="StableDiffusionGraph", pretrained="pocket"))
unified = dict(model=dict(test_cfg=dict(_delete_=True, mode="whole")))
