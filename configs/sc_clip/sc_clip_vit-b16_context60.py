_base_ = ["../_base_/datasets/context60.py", "../_base_/methods/sc_clip.py"]
model = dict(decode_head=dict(vocabulary="context60", prob_threshold=0.15))
