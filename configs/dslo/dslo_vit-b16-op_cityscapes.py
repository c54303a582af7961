_base_ = "./dslo_vit-b16_cityscapes.py"
setting = "optimal path"
model = dict(mode="optimal_path")
