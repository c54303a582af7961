_base_ = ["../_base_/datasets/context59.py", "../_base_/methods/clip.py"]
model = dict(pad_to="patch", decode_head=dict(vocabulary="context59_clearclip"))
