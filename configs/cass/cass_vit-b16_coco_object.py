_base_ = ["../_base_/datasets/coco_object.py", "../_base_/methods/cass.py"]
model = dict(
    gamma=0.25,
    alpha=0.01,
    t=0.1,
    decode_head=dict(vocabulary="coco_object", prob_threshold=0.1),
)
unified = dict(model=_base_.untuned)
