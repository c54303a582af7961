_base_ = ["../_base_/datasets/ade20k.py", "../_base_/methods/clip.py"]
model = dict(pad_to="patch", decode_head=dict(vocabulary="ade20k_clearclip"))
