_base_ = ["../_base_/datasets/ade20k.py", "../_base_/methods/lavg.py"]
model = dict(decode_head=dict(vocabulary="ade20k"))
