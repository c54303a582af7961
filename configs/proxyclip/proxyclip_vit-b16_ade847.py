_base_ = ["../_base_/datasets/ade847.py", "../_base_/methods/proxyclip.py"]
model = dict(short_side=448, decode_head=dict(vocabulary="ade847_proxyclip"))
