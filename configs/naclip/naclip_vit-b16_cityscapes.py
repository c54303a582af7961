_base_ = ["../_base_/datasets/cityscapes.py", "../_base_/methods/naclip.py"]
short_side = 560
model = dict(decode_head=dict(vocabulary="cityscapes"))
