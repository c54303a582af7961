_base_ = ["../_base_/datasets/context59.py", "../_base_/methods/cass.py"]
model = dict(
    gamma=0.25,
    alpha=0.04,
    t=0.09,
    decode_head=dict(vocabulary="context59"),
)
unified = dict(model=_base_.untuned)
