# Names of the classes as in the demo.
_base_ = ["../_base_/datasets/context59.py", "../_base_/methods/clip_surgery.py"]
model = dict(decode_head=dict(vocabulary="context59_clip_surgery"))
