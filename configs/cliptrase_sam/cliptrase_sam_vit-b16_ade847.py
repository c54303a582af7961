_base_ = ["../_base_/datasets/centre_square/ade847.py", "../_base_/methods/cliptrase_sam.py"]
model = dict(decode_head=dict(vocabulary="ade847_cliptrase"))
unified = "its windows slide, and SAM finds the regions of a whole image"
