_base_ = ["../_base_/datasets/context59.py", "../_base_/methods/lposs.py"]
model = dict(decode_head=dict(vocabulary="context59_lposs"))
unified = dict(model=_base_.untuned)
