_base_ = ["../_base_/datasets/voc21.py", "../_base_/methods/corrclip.py"]
model = dict(
    masks="data/region_masks/voc",
    decode_head=dict(vocabulary="voc21_corrclip", prob_threshold=0.2),
)
unified = dict(model=_base_.openai)
