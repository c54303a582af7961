_base_ = "./dslo_vit-b16_voc21.py"
setting = "optimal path"
model = dict(mode="optimal_path")
