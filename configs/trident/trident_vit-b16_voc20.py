_base_ = ["../_base_/datasets/voc20.py", "../_base_/methods/trident.py"]
model = dict(
    short_side=336,
    cos_fac=0.0,
    coarse_thresh=0.2,
    decode_head=dict(vocabulary="voc20_proxyclip"),
    test_cfg=dict(stride=112),
)
unified = dict(model=_base_.untuned)
