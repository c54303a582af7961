_base_ = ["../_base_/datasets/pocket_all.py", "../_base_/encoders/vit-pocket.py", "../_base_/runtime.py"]
protocol = "unified"
model = dict(type="ClearCLIP")
