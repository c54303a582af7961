_base_ = ["../voc20.py", "./_protocol.py"]
relabel = dict(unlabelled=[255])
