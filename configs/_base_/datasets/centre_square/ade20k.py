_base_ = ["../ade20k.py", "./_protocol.py"]
relabel = dict(unlabelled=[255])
paper = dict(model=dict(decode_head=dict(vocabulary="ade20k_cliptrase")))
