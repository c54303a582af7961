# The paper's Figure 5 (d): maximum velocity over the attention of DINO ViT-B/8.
_base_ = "../dslo_vit-b16_context60.py"
model = dict(graph=dict(_delete_=True, type="DINO", pretrained="facebook/dino-vitb8"))
