# The paper's Figure 5 (d): maximum velocity over the attention of DINOv2 ViT-B/14 with registers.
_base_ = "../dslo_vit-b16_coco_object.py"
model = dict(graph=dict(_delete_=True, type="DINOv2Registers", pretrained="facebook/dinov2-with-registers-base"))
