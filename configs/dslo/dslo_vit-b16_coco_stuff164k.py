_base_ = ["../_base_/datasets/coco_stuff164k.py", "../_base_/methods/dslo.py"]
model = dict(decode_head=dict(vocabulary="coco_stuff164k"))
unified = dict(model=dict(test_cfg=dict(_delete_=True, mode="whole")))
