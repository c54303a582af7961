_base_ = ["../_base_/datasets/cityscapes.py", "../_base_/methods/lavg.py"]
model = dict(short_side=560, decode_head=dict(vocabulary="cityscapes"))
