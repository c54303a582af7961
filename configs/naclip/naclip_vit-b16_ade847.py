# No author states settings of NACLIP for ADE847: the unified protocol only.
_base_ = ["../_base_/datasets/ade847.py", "../_base_/encoders/vit-b16.py", "../_base_/runtime.py"]
protocol = "unified"
model = dict(type="NACLIP")
