_base_ = ["../_base_/datasets/coco_object.py", "../_base_/methods/corrclip.py"]
model = dict(
    masks="data/region_masks/coco",
    decode_head=dict(vocabulary="coco_object_corrclip", prob_threshold=0.25),
)
unified = dict(model=_base_.openai)
