# Maximum velocity on ADE20K.
_base_ = ["../_base_/datasets/ade20k.py", "../_base_/methods/dslo.py"]
model = dict(decode_head=dict(type="TextHead", vocabulary="ade20k"))
# No windows here either: "unified" concerns words, image size and threshold.
unified = dict(model=dict(test_cfg=dict(_delete_=True, mode="whole")))
