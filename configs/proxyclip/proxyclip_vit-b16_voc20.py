_base_ = ["../_base_/datasets/voc20.py", "../_base_/methods/proxyclip.py"]
model = dict(decode_head=dict(vocabulary="voc20_proxyclip"))
