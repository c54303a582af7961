# Maximum velocity on Cityscapes.
_base_ = ["../_base_/datasets/cityscapes.py", "../_base_/methods/dslo.py"]
short_side = 560
model = dict(decode_head=dict(type="TextHead", vocabulary="cityscapes"))
# No windows here either: "unified" concerns words, image size and threshold.
unified = dict(model=dict(test_cfg=dict(_delete_=True, mode="whole")))
