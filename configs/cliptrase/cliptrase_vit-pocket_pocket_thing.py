# Each window of 8 x 8 patches is clustered by itself; eps = 0.5 was best among 0.2 .. 1.1 on pocket_all.
_base_ = ["../_base_/datasets/pocket_thing.py", "../_base_/encoders/vit-pocket.py", "../_base_/runtime.py"]
protocol = "unified"
model = dict(type="CLIPtrase", eps=0.5, min_samples=3)
