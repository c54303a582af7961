_base_ = "./dslo_vit-b16_coco_object.py"
setting = "optimal path"
model = dict(mode="optimal_path")
