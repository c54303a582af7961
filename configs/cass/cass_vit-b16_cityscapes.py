_base_ = ["../_base_/datasets/cityscapes.py", "../_base_/methods/cass.py"]
model = dict(
    short_side=560,
    gamma=0.1,
    alpha=0.03,
    t=0.14,
    prior_from="window",
    eigenscaling=False,
    decode_head=dict(vocabulary="cityscapes"),
)
unified = dict(model=_base_.untuned)
