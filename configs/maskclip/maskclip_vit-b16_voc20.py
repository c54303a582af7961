_base_ = ["../_base_/datasets/voc20.py", "../_base_/methods/maskclip.py"]
model = dict(pad_to="patch", decode_head=dict(vocabulary="voc20_clearclip"))
