_base_ = ["../_base_/datasets/voc21.py", "../_base_/methods/trident.py"]
model = dict(
    coarse_thresh=0.2,
    decode_head=dict(vocabulary="voc21_proxyclip", prob_threshold=0.2),
)
unified = dict(model=_base_.untuned)
