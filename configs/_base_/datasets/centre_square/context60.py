_base_ = ["../context60.py", "./_protocol.py"]
relabel = dict(unlabelled=[0, 255])
paper = dict(model=dict(decode_head=dict(vocabulary="context60_cliptrase")))
