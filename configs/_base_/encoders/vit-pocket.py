# The small CLIP that this repository trained on its own scenes (12 blocks, width 128, patch 8, 128 px).
model = dict(backbone=dict(type="CLIPImageEncoder", arch="auto", pretrained="pocket"))
