_base_ = ["../_base_/datasets/centre_square/voc20.py", "../_base_/methods/lht_clip.py"]
model = dict(decode_head=dict(vocabulary="voc20_cliptrase"), base=dict(cls_weighting=True))  # as CLIPtrase
unified = dict(model=dict(base=dict(eps=0.7, min_samples=3, cls_weighting=False)))
