_base_ = ["../_base_/datasets/centre_square/context59.py", "../_base_/methods/cliptrase_sam.py"]
unified = "its windows slide, and SAM finds the regions of a whole image"
