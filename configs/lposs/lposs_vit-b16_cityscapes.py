_base_ = ["../_base_/datasets/cityscapes.py", "../_base_/methods/lposs.py"]
model = dict(decode_head=dict(vocabulary="cityscapes_lposs"))
unified = dict(model=_base_.untuned)
