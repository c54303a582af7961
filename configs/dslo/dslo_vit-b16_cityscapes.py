_base_ = ["../_base_/datasets/cityscapes.py", "../_base_/methods/dslo.py"]
short_side = 560
model = dict(decode_head=dict(vocabulary="cityscapes"))
unified = dict(model=dict(test_cfg=dict(_delete_=True, mode="whole")))
