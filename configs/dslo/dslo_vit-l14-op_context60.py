_base_ = "./dslo_vit-l14_context60.py"
setting = "optimal path"
model = dict(mode="optimal_path")
