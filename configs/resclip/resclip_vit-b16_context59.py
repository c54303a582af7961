_base_ = ["../_base_/datasets/context59.py", "../_base_/methods/resclip.py"]
model = dict(
    rcs_weights=(2.0, 0.4),
    sfr_weights=(1.8, 0.7),
    label_threshold=0.25,
    decode_head=dict(vocabulary="context59"),
)
unified = dict(model=_base_.untuned)
