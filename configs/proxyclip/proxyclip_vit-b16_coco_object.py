_base_ = ["../_base_/datasets/coco_object.py", "../_base_/methods/proxyclip.py"]
model = dict(decode_head=dict(vocabulary="coco_object_proxyclip", prob_threshold=0.25))
