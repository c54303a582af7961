_base_ = "./dslo_vit-b16_context60.py"
setting = "optimal path"
model = dict(mode="optimal_path")
