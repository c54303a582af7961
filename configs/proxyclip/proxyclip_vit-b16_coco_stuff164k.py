_base_ = ["../_base_/datasets/coco_stuff164k.py", "../_base_/methods/proxyclip.py"]
model = dict(decode_head=dict(vocabulary="coco_stuff164k_proxyclip"))
