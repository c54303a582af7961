_base_ = ["../_base_/datasets/ade20k.py", "../_base_/methods/proxyclip.py"]
model = dict(short_side=448, decode_head=dict(vocabulary="ade20k_proxyclip"))
