# ViT-L/14: other blocks and cls_weight, as the author says in issue 5, which SCCLIP takes for 24 blocks by itself.
_base_ = "./sc_clip_vit-b16_context59.py"
model = dict(backbone=dict(arch="ViT-L-14"))
