# The authors weight the class logits by the class token's on VOC20.
_base_ = ["../_base_/datasets/centre_square/voc20.py", "../_base_/methods/cliptrase.py"]
setting = "336 pixels"
model = dict(decode_head=dict(vocabulary="voc20_cliptrase"), cls_weighting=True)
unified = dict(setting="", model=dict(eps=0.7, min_samples=3, cls_weighting=False))
