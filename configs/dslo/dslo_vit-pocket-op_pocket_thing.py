_base_ = "./dslo_vit-pocket_pocket_thing.py"
setting = "optimal path"
model = dict(mode="optimal_path")
