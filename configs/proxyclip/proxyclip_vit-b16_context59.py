_base_ = ["../_base_/datasets/context59.py", "../_base_/methods/proxyclip.py"]
model = dict(decode_head=dict(vocabulary="context59_proxyclip"))
