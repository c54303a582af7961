# ViT-L/14, as for ViT-B/16: the authors ran no ViT-L/14, others re-ran theirs (ClearCLIP's and ResCLIP's tables).
_base_ = "./sclip_vit-b16_voc20.py"
model = dict(backbone=dict(arch="ViT-L-14"))
