_base_ = ["../_base_/datasets/coco_stuff164k.py", "../_base_/methods/lavg.py"]
model = dict(short_side=448, decode_head=dict(vocabulary="coco_stuff164k"))
