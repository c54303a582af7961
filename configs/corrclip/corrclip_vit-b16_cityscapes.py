_base_ = ["../_base_/datasets/cityscapes.py", "../_base_/methods/corrclip.py"]
model = dict(
    masks="data/region_masks/city",
    short_side=448,
    decode_head=dict(vocabulary="cityscapes_corrclip"),
    test_cfg=dict(crop_size=224),
)
unified = dict(model=_base_.openai)
