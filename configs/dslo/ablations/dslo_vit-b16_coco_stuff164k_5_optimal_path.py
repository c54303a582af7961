# Row V of the paper's Table 2: optimal path in place of KL.
_base_ = "../dslo_vit-b16_coco_stuff164k.py"
setting = "+ O.P."
model = dict(mode="optimal_path")
