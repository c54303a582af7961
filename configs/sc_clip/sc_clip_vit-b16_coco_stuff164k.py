_base_ = ["../_base_/datasets/coco_stuff164k.py", "../_base_/methods/sc_clip.py"]
model = dict(decode_head=dict(vocabulary="coco_stuff164k"))
