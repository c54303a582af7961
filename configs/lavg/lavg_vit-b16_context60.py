_base_ = ["../_base_/datasets/context60.py", "../_base_/methods/lavg.py"]
model = dict(decode_head=dict(vocabulary="context60", logit_scale=50, prob_threshold=0.1))
