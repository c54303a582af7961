_base_ = ["../_base_/datasets/voc21.py", "../_base_/methods/clip_surgery.py"]
model = dict(decode_head=dict(vocabulary="voc21_clearclip", prob_threshold=0.1))
