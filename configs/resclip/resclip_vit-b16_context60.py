_base_ = ["../_base_/datasets/context60.py", "../_base_/methods/resclip.py"]
model = dict(
    rcs_weights=(2.0, 0.3),
    sfr_weights=(1.8, 0.7),
    label_threshold=0.3,
    decode_head=dict(vocabulary="context60", prob_threshold=0.1),
)
unified = dict(model=_base_.untuned)
