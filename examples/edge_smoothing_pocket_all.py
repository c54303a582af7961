# A method of your own on the pocket benchmark, from the repository's folder:
# PYTHONPATH=examples .venv/bin/python tools/test.py examples/edge_smoothing_pocket_all.py
_base_ = [
    "../configs/_base_/datasets/pocket_all.py",
    "../configs/_base_/encoders/vit-pocket.py",
    "../configs/_base_/runtime.py",
]
custom_imports = dict(imports=["my_lab"])
protocol = "unified"
model = dict(_base_.unified.model, type="EdgeSmoothing", edges=dict(type="SobelEdges"))
