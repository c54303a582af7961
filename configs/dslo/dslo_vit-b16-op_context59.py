_base_ = "./dslo_vit-b16_context59.py"
setting = "optimal path"
model = dict(mode="optimal_path")
