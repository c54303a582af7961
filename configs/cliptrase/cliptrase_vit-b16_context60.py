_base_ = ["../_base_/datasets/centre_square/context60.py", "../_base_/methods/cliptrase.py"]
model = dict(decode_head=dict(vocabulary="context60_cliptrase"))
setting = "336 pixels"
unified = dict(setting="", model=dict(eps=0.7, min_samples=3))
