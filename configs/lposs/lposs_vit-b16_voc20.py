_base_ = ["../_base_/datasets/voc20.py", "../_base_/methods/lposs.py"]
model = dict(decode_head=dict(vocabulary="voc20_lposs"))
unified = dict(model=_base_.untuned)
