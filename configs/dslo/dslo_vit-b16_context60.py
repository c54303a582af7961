# Maximum velocity on Context60.
_base_ = ["../_base_/datasets/context60.py", "../_base_/methods/dslo.py"]
model = dict(decode_head=dict(type="TextHead", vocabulary="context60"))
# No windows here either: "unified" concerns words, image size and threshold.
unified = dict(model=dict(test_cfg=dict(_delete_=True, mode="whole")))
