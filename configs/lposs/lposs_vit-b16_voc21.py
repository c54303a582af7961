_base_ = ["../_base_/datasets/voc21.py", "../_base_/methods/lposs.py"]
model = dict(decode_head=dict(vocabulary="voc21_lposs"))
unified = dict(model=_base_.untuned)
