_base_ = "./dslo_vit-b16_ade20k.py"
setting = "optimal path"
model = dict(mode="optimal_path")
