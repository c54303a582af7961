# No author states settings of LPOSS for ViT-L/14: the unified protocol only.
_base_ = ["../_base_/datasets/cityscapes.py", "../_base_/methods/lposs.py"]
protocol = "unified"
model = dict(_base_.unified.model, backbone=dict(_base_.untuned.backbone, arch="ViT-L-14"))
unified = dict(model=_base_.untuned)
