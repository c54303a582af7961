_base_ = ["../_base_/datasets/coco_object.py", "../_base_/methods/gem.py"]
model = dict(decode_head=dict(vocabulary="coco_object_clearclip", prob_threshold=0.85))
