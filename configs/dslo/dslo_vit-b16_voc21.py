# Maximum velocity on VOC21.
_base_ = ["../_base_/datasets/voc21.py", "../_base_/methods/dslo.py"]
model = dict(decode_head=dict(type="TextHead", vocabulary="voc21"))
# No windows here either: "unified" concerns words, image size and threshold.
unified = dict(model=dict(test_cfg=dict(_delete_=True, mode="whole")))
