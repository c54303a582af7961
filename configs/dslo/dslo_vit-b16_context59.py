_base_ = ["../_base_/datasets/context59.py", "../_base_/methods/dslo.py"]
model = dict(decode_head=dict(vocabulary="context59"))
unified = dict(model=dict(test_cfg=dict(_delete_=True, mode="whole")))
