_base_ = ["../ade847.py", "./_protocol.py"]
paper = dict(model=dict(decode_head=dict(vocabulary="ade847_cliptrase")))
