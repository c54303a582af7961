_base_ = ["../_base_/datasets/cityscapes.py", "../_base_/methods/dslo.py"]
model = dict(short_side=560, decode_head=dict(vocabulary="cityscapes"))
unified = dict(model=dict(test_cfg=dict(_delete_=True, mode="whole")))
