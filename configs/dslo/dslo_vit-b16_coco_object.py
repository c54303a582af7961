# Maximum velocity on COCO-Object.
_base_ = ["../_base_/datasets/coco_object.py", "../_base_/methods/dslo.py"]
model = dict(decode_head=dict(type="TextHead", vocabulary="coco_object"))
# No windows here either: "unified" concerns words, image size and threshold.
unified = dict(model=dict(test_cfg=dict(_delete_=True, mode="whole")))
