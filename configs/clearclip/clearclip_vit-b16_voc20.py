_base_ = ["../_base_/datasets/voc20.py", "../_base_/methods/clearclip.py"]
short_side = 448
model = dict(decode_head=dict(vocabulary="voc20_clearclip"))
