# Windows of 224 side by side.
_base_ = ["../_base_/datasets/cityscapes.py", "../_base_/methods/clip.py"]
model = dict(pad_to="patch", decode_head=dict(vocabulary="cityscapes_clearclip"), test_cfg=dict(crop_size=224))
