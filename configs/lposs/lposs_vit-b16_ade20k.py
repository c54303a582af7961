_base_ = ["../_base_/datasets/ade20k.py", "../_base_/methods/lposs.py"]
model = dict(decode_head=dict(vocabulary="ade20k_lposs"))
unified = dict(model=_base_.untuned)
