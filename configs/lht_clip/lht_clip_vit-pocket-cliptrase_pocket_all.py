# Each window of 8 x 8 patches is clustered by itself, with the authors' setting for their smaller images.
_base_ = ["../_base_/datasets/pocket_all.py", "../_base_/encoders/vit-pocket.py", "../_base_/runtime.py"]
protocol = "unified"
setting = "CLIPtrase"
model = dict(type="LHTCLIP", base=dict(type="CLIPtrase", eps=0.7, min_samples=3))
