_base_ = ["../context59.py", "./_protocol.py"]
relabel = dict(unlabelled=[255])
paper = dict(model=dict(decode_head=dict(vocabulary="context59_cliptrase")))
