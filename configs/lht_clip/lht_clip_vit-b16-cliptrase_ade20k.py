_base_ = ["../_base_/datasets/centre_square/ade20k.py", "../_base_/methods/lht_clip.py"]
model = dict(decode_head=dict(vocabulary="ade20k_cliptrase"))
unified = dict(model=dict(base=dict(eps=0.7, min_samples=3)))
