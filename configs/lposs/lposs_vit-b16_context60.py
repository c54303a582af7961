_base_ = ["../_base_/datasets/context60.py", "../_base_/methods/lposs.py"]
model = dict(decode_head=dict(vocabulary="context60_lposs"))
unified = dict(model=_base_.untuned)
