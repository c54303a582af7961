_base_ = ["../_base_/datasets/coco_object.py", "../_base_/methods/lposs.py"]
model = dict(decode_head=dict(vocabulary="coco_object_lposs"))
unified = dict(model=_base_.untuned)
