_base_ = ["../_base_/datasets/context60.py", "../_base_/methods/trident.py"]
model = dict(
    short_side=576,
    coarse_thresh=0.15,
    decode_head=dict(vocabulary="context60_proxyclip", prob_threshold=0.15),
)
unified = dict(model=_base_.untuned)
