_base_ = ["../_base_/datasets/centre_square/voc21.py", "../_base_/methods/lht_clip.py"]
model = dict(decode_head=dict(vocabulary="voc21_cliptrase"))
unified = dict(model=dict(base=dict(eps=0.7, min_samples=3)))
