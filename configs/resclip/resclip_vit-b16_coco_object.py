_base_ = ["../_base_/datasets/coco_object.py", "../_base_/methods/resclip.py"]
model = dict(
    rcs_weights=(2.0, 0.4),
    sfr_weights=(1.8, 0.7),
    label_threshold=0.11,
    decode_head=dict(vocabulary="coco_object", prob_threshold=0.1),
)
unified = dict(model=_base_.untuned)
