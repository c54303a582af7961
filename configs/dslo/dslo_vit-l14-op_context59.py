_base_ = "./dslo_vit-l14_context59.py"
setting = "optimal path"
model = dict(mode="optimal_path")
