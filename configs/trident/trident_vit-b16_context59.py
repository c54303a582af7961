_base_ = ["../_base_/datasets/context59.py", "../_base_/methods/trident.py"]
model = dict(
    short_side=576,
    coarse_thresh=0.15,
    decode_head=dict(vocabulary="context59_proxyclip"),
)
unified = dict(model=_base_.untuned)
