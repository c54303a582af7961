_base_ = ["../_base_/datasets/ade20k.py", "../_base_/methods/trident.py"]
model = dict(
    short_side=576,
    refine_neg_cos=False,
    coarse_thresh=0.05,
    decode_head=dict(vocabulary="ade20k_proxyclip"),
)
unified = dict(model=_base_.untuned)
