# OpenAI's CLIP ViT-B/16. A local file: --cfg-options model.backbone.pretrained=/path/to/ViT-B-16.pt
model = dict(backbone=dict(type="CLIPImageEncoder", arch="ViT-B-16", pretrained="openai"))
