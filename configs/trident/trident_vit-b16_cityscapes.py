_base_ = ["../_base_/datasets/cityscapes.py", "../_base_/methods/trident.py"]
model = dict(
    short_side=688,
    cos_fac=3.0,
    refine_neg_cos=False,
    halves=True,
    coarse_thresh=0.1,
    decode_head=dict(vocabulary="cityscapes_proxyclip"),
)
unified = dict(model=_base_.untuned)
