_base_ = ["../_base_/datasets/pc459.py", "../_base_/methods/proxyclip.py"]
model = dict(short_side=448, decode_head=dict(vocabulary="pc459_proxyclip"))
