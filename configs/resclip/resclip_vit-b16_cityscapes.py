_base_ = ["../_base_/datasets/cityscapes.py", "../_base_/methods/resclip.py"]
model = dict(
    short_side=560,
    rcs_weights=(2.0, 0.2),
    sfr_weights=(2.1, 0.6),
    label_threshold=0.1,
    decode_head=dict(vocabulary="cityscapes"),
)
unified = dict(model=_base_.untuned)
