_base_ = ["../coco_stuff164k.py", "./_protocol.py"]
relabel = dict(unlabelled=[255])
