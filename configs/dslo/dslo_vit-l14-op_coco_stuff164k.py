_base_ = "./dslo_vit-l14_coco_stuff164k.py"
setting = "optimal path"
model = dict(mode="optimal_path")
