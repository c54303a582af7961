_base_ = ["../_base_/datasets/ade847.py", "../_base_/methods/trident.py"]
model = dict(
    coarse_thresh=0.2,
    decode_head=dict(vocabulary="ade847_proxyclip"),
)
unified = dict(model=_base_.untuned)
