_base_ = ["../coco_stuff164k.py", "./_protocol.py"]
relabel = dict(unlabelled=[255])
paper = dict(model=dict(decode_head=dict(vocabulary="coco_stuff164k_cliptrase")))
