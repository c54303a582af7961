_base_ = ["../voc20.py", "./_protocol.py"]
relabel = dict(unlabelled=[255])
paper = dict(model=dict(decode_head=dict(vocabulary="voc20_cliptrase")))
