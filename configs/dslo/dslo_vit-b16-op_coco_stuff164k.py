_base_ = "./dslo_vit-b16_coco_stuff164k.py"
setting = "optimal path"
model = dict(mode="optimal_path")
