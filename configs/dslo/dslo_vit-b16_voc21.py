_base_ = ["../_base_/datasets/voc21.py", "../_base_/methods/dslo.py"]
model = dict(decode_head=dict(vocabulary="voc21"))
unified = dict(model=dict(test_cfg=dict(_delete_=True, mode="whole")))
