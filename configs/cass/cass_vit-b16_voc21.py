_base_ = ["../_base_/datasets/voc21.py", "../_base_/methods/cass.py"]
model = dict(
    gamma=0.1,
    alpha=0.03,
    t=0.1,
    decode_head=dict(vocabulary="voc21", prob_threshold=0.1),
    test_cfg=dict(_delete_=True, mode="whole"),
)
unified = dict(model=_base_.untuned)
