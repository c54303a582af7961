_base_ = ["../_base_/datasets/voc21.py", "../_base_/methods/resclip.py"]
model = dict(
    rcs_weights=(2.0, 0.3),
    sfr_weights=(2.2, 0.7),
    label_threshold=0.5,
    decode_head=dict(vocabulary="voc21", prob_threshold=0.1),
    test_cfg=dict(_delete_=True, mode="whole"),
)
unified = dict(model=_base_.untuned)
