_base_ = ["../_base_/datasets/ade20k.py", "../_base_/methods/corrclip.py"]
model = dict(
    masks="data/region_masks/ade",
    short_side=448,
    decode_head=dict(vocabulary="ade20k_corrclip"),
)
unified = dict(model=_base_.openai)
