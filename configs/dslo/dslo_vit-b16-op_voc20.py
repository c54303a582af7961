_base_ = "./dslo_vit-b16_voc20.py"
setting = "optimal path"
model = dict(mode="optimal_path")
