_base_ = ["../_base_/datasets/ade20k.py", "../_base_/methods/cass.py"]
model = dict(
    gamma=0.3,
    alpha=0.05,
    t=0.06,
    decode_head=dict(vocabulary="ade20k"),
)
unified = dict(model=_base_.untuned)
