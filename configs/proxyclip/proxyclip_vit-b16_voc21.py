_base_ = ["../_base_/datasets/voc21.py", "../_base_/methods/proxyclip.py"]
model = dict(decode_head=dict(vocabulary="voc21_proxyclip", prob_threshold=0.2))
