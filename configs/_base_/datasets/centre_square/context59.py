_base_ = ["../context59.py", "./_protocol.py"]
relabel = dict(unlabelled=[255])
