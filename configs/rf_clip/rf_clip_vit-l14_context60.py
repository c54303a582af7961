# ViT-L/14, as for ViT-B/16, with the distraction channels that the authors' code names for it.
_base_ = "./rf_clip_vit-b16_context60.py"
model = dict(backbone=dict(arch="ViT-L-14"), channels=[250, 261, 437, 650, 720, 779, 936, 1005])
