# OpenAI's CLIP ViT-B/16. A local file: --cfg-options model.backbone.pretrained=/path/to/ViT-B-16.pt
# Leaves of ViT-L/14 have another arch. Those on pocket have arch="auto", pretrained="pocket": the small CLIP that this
# repository trained on its own scenes (12 blocks, width 128, patch 8, 128 px).
model = dict(backbone=dict(type="CLIPImageEncoder", arch="ViT-B-16", pretrained="openai"))
