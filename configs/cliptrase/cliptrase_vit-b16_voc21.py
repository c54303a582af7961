_base_ = ["../_base_/datasets/centre_square/voc21.py", "../_base_/methods/cliptrase.py"]
model = dict(decode_head=dict(vocabulary="voc21_cliptrase"))
setting = "336 pixels"
unified = dict(setting="", model=dict(eps=0.7, min_samples=3))
