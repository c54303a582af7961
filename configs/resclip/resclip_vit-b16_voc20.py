_base_ = ["../_base_/datasets/voc20.py", "../_base_/methods/resclip.py"]
model = dict(
    rcs_weights=(2.0, 0.6),
    sfr_weights=(2.1, 0.6),
    label_threshold=0.1,
    decode_head=dict(vocabulary="voc20"),
    test_cfg=dict(_delete_=True, mode="whole"),
)
unified = dict(model=_base_.untuned)
