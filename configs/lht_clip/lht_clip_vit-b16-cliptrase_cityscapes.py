# LHT-CLIP around CLIPtrase, which has no settings of its own for Cityscapes; the paper does not evaluate this base.
_base_ = ["../_base_/datasets/cityscapes.py", "../_base_/encoders/vit-b16.py", "../_base_/runtime.py"]
protocol = "unified"
setting = "CLIPtrase"
model = dict(type="LHTCLIP", base=dict(type="CLIPtrase", eps=0.7, min_samples=3))
