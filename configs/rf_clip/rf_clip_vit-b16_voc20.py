_base_ = ["../_base_/datasets/voc20.py", "../_base_/methods/rf_clip.py"]
model = dict(
    gamma=0.4,
    alpha=0.02,
    t=0.1,
    decode_head=dict(vocabulary="voc20"),
)
unified = dict(model=_base_.untuned)
