_base_ = ["../_base_/datasets/voc21.py", "../_base_/methods/sc_clip.py"]
model = dict(decode_head=dict(vocabulary="voc21", logit_scale=50, prob_threshold=0.15, area_threshold=0.1))
