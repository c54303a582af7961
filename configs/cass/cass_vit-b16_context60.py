_base_ = ["../_base_/datasets/context60.py", "../_base_/methods/cass.py"]
model = dict(
    gamma=0.25,
    alpha=0.04,
    t=0.09,
    decode_head=dict(vocabulary="context60", prob_threshold=0.1),
)
unified = dict(model=_base_.untuned)
