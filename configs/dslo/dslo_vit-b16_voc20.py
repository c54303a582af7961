# Maximum velocity on VOC20.
_base_ = ["../_base_/datasets/voc20.py", "../_base_/methods/dslo.py"]
model = dict(decode_head=dict(type="TextHead", vocabulary="voc20"))
# No windows here either: "unified" concerns words, image size and threshold.
unified = dict(model=dict(test_cfg=dict(_delete_=True, mode="whole")))
