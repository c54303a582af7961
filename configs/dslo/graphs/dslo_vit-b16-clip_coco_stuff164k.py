# The paper's Figure 5 (d): maximum velocity over the attention of CLIP itself.
_base_ = "../dslo_vit-b16_coco_stuff164k.py"
model = dict(graph=dict(_delete_=True, type="CLIPGraph"))
