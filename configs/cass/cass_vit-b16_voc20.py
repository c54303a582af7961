_base_ = ["../_base_/datasets/voc20.py", "../_base_/methods/cass.py"]
model = dict(
    gamma=0.4,
    alpha=0.02,
    t=0.1,
    eigenscaling=False,
    decode_head=dict(vocabulary="voc20"),
)
unified = dict(model=_base_.untuned)
