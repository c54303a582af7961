_base_ = ["../_base_/datasets/coco_stuff164k.py", "../_base_/methods/corrclip.py"]
model = dict(
    masks="data/region_masks/coco",
    decode_head=dict(vocabulary="coco_stuff164k_corrclip"),
)
unified = dict(model=_base_.openai)
