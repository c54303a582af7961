_base_ = ["../_base_/datasets/context60.py", "../_base_/methods/clip_surgery.py"]
model = dict(decode_head=dict(vocabulary="context60_clearclip", prob_threshold=0.1))
