_base_ = ["../_base_/datasets/coco_object.py", "../_base_/methods/lavg.py"]
model = dict(decode_head=dict(vocabulary="coco_object", logit_scale=50, prob_threshold=0.1))
