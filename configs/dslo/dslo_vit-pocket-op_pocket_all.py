_base_ = "./dslo_vit-pocket_pocket_all.py"
setting = "optimal path"
model = dict(mode="optimal_path")
