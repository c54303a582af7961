_base_ = ["../_base_/datasets/context59.py", "../_base_/methods/corrclip.py"]
model = dict(
    masks="data/region_masks/context",
    decode_head=dict(vocabulary="context59_corrclip"),
)
unified = dict(model=_base_.openai)
