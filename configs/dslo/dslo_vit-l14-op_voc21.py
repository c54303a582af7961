_base_ = "./dslo_vit-l14_voc21.py"
setting = "optimal path"
model = dict(mode="optimal_path")
