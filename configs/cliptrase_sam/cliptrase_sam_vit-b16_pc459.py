_base_ = ["../_base_/datasets/centre_square/pc459.py", "../_base_/methods/cliptrase_sam.py"]
model = dict(decode_head=dict(vocabulary="pc459_cliptrase"))
unified = "its windows slide, and SAM finds the regions of a whole image"
