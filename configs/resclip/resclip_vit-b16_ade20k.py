_base_ = ["../_base_/datasets/ade20k.py", "../_base_/methods/resclip.py"]
model = dict(
    rcs_weights=(2.0, 0.3),
    sfr_weights=(2.1, 0.7),
    label_threshold=0.25,
    decode_head=dict(vocabulary="ade20k"),
)
unified = dict(model=_base_.untuned)
