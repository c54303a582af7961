_base_ = ["../_base_/datasets/centre_square/voc20.py", "../_base_/methods/lht_clip.py"]
model = dict(base=dict(cls_weighting=True))  # as CLIPtrase
unified = dict(setting="CLIPtrase", model=dict(base=dict(eps=0.7, min_samples=3, cls_weighting=False)))
