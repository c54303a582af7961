_base_ = ["../context60.py", "./_protocol.py"]
relabel = dict(unlabelled=[0, 255])
