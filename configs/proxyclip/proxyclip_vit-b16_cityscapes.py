_base_ = ["../_base_/datasets/cityscapes.py", "../_base_/methods/proxyclip.py"]
model = dict(short_side=448, decode_head=dict(vocabulary="cityscapes_proxyclip"), test_cfg=dict(crop_size=224))
