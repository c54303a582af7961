_base_ = ["../_base_/datasets/coco_stuff164k.py", "../_base_/methods/trident.py"]
model = dict(
    coarse_thresh=0.05,
    decode_head=dict(vocabulary="coco_stuff164k_proxyclip"),
)
unified = dict(model=_base_.untuned)
