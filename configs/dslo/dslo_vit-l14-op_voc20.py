_base_ = "./dslo_vit-l14_voc20.py"
setting = "optimal path"
model = dict(mode="optimal_path")
