_base_ = ["../_base_/datasets/context60.py", "../_base_/methods/proxyclip.py"]
model = dict(decode_head=dict(vocabulary="context60_proxyclip", prob_threshold=0.15))
