_base_ = "./dslo_vit-l14_cityscapes.py"
setting = "optimal path"
model = dict(mode="optimal_path")
