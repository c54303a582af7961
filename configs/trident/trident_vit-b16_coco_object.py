_base_ = ["../_base_/datasets/coco_object.py", "../_base_/methods/trident.py"]
model = dict(
    coarse_thresh=0.25,
    decode_head=dict(vocabulary="coco_object_proxyclip", prob_threshold=0.25),
)
unified = dict(model=_base_.untuned)
