_base_ = "./cliptrase_vit-b16_coco_stuff164k.py"
setting = "224 pixels"
model = dict(short_side=224, eps=0.7, min_samples=3)
unified = "run cliptrase_vit-b16_coco_stuff164k.py in it, which would be the same run"
