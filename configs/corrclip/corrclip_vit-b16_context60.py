_base_ = ["../_base_/datasets/context60.py", "../_base_/methods/corrclip.py"]
model = dict(
    masks="data/region_masks/context",
    decode_head=dict(vocabulary="context60_corrclip", prob_threshold=0.15),
)
unified = dict(model=_base_.openai)
