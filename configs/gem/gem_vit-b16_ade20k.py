_base_ = ["../_base_/datasets/ade20k.py", "../_base_/methods/gem.py"]
model = dict(decode_head=dict(vocabulary="ade20k_clearclip"))
