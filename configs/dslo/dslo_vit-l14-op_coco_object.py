_base_ = "./dslo_vit-l14_coco_object.py"
setting = "optimal path"
model = dict(mode="optimal_path")
