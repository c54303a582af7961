_base_ = ["../_base_/datasets/cityscapes.py", "../_base_/methods/clip_surgery.py"]
model = dict(decode_head=dict(vocabulary="cityscapes_clearclip"))
