_base_ = ["../_base_/datasets/voc20.py", "../_base_/methods/corrclip.py"]
model = dict(
    masks="data/region_masks/voc",
    decode_head=dict(vocabulary="voc20_corrclip"),
)
unified = dict(model=_base_.openai)
