_base_ = ["../_base_/datasets/ade20k.py", "../_base_/methods/dslo.py"]
model = dict(decode_head=dict(vocabulary="ade20k"))
unified = dict(model=dict(test_cfg=dict(_delete_=True, mode="whole")))
