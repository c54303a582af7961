_base_ = ["../_base_/datasets/pc459.py", "../_base_/methods/trident.py"]
model = dict(
    coarse_thresh=0.2,
    decode_head=dict(vocabulary="pc459_proxyclip"),
)
unified = dict(model=_base_.untuned)
