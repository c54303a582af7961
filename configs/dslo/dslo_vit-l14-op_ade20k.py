_base_ = "./dslo_vit-l14_ade20k.py"
setting = "optimal path"
model = dict(mode="optimal_path")
