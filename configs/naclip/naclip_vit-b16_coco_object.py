_base_ = ["../_base_/datasets/coco_object.py", "../_base_/methods/naclip.py"]
model = dict(decode_head=dict(vocabulary="coco_object", prob_threshold=0.1))
