# ViT-L/14, as for ViT-B/16, for which alone the settings are stated; ClearCLIP's appendix reports ViT-L/14 too.
_base_ = "./maskclip_vit-b16_voc20.py"
model = dict(backbone=dict(arch="ViT-L-14"))
