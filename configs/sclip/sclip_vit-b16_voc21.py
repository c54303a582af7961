_base_ = ["../_base_/datasets/voc21.py", "../_base_/methods/sclip.py"]
model = dict(decode_head=dict(vocabulary="voc21", logit_scale=65, prob_threshold=0.1, area_threshold=0.1))
