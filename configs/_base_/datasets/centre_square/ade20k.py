_base_ = ["../ade20k.py", "./_protocol.py"]
relabel = dict(unlabelled=[255])
