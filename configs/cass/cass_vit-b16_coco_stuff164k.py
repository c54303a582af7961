_base_ = ["../_base_/datasets/coco_stuff164k.py", "../_base_/methods/cass.py"]
model = dict(
    gamma=0.2,
    alpha=0.02,
    t=0.02,
    decode_head=dict(vocabulary="coco_stuff164k"),
)
unified = dict(model=_base_.untuned)
