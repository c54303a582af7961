# The paper's Figure 5 (d): maximum velocity over the attention of DINOv2 ViT-B/14.
_base_ = "../dslo_vit-b16_context59.py"
model = dict(graph=dict(_delete_=True, type="DINOv2", pretrained="facebook/dinov2-base"))
