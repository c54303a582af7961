_base_ = ["../_base_/datasets/pocket_all.py", "../_base_/methods/clearclip.py"]
protocol = "unified"
model = dict(backbone=dict(arch="auto", pretrained="pocket"))
