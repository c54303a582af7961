_base_ = ["../_base_/datasets/centre_square/voc20.py", "../_base_/methods/cliptrase_sam.py"]
model = dict(decode_head=dict(vocabulary="voc20_cliptrase"), cls_weighting=True)  # as CLIPtrase
unified = "its windows slide, and SAM finds the regions of a whole image"
