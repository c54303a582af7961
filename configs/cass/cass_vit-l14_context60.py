# ViT-L/14, as for ViT-B/16, beside DINOv2-L with registers, which has as many heads; the authors ran no ViT-L/14.
_base_ = "./cass_vit-b16_context60.py"
model = dict(
    backbone=dict(arch="ViT-L-14"),
    vfm=dict(type="DINOv2Registers", pretrained="facebook/dinov2-with-registers-large"),
)
