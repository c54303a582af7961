_base_ = ["../_base_/datasets/context60.py", "../_base_/methods/naclip.py"]
model = dict(decode_head=dict(vocabulary="context60", prob_threshold=0.1))
