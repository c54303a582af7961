_base_ = ["../pc459.py", "./_protocol.py"]
paper = dict(model=dict(decode_head=dict(vocabulary="pc459_cliptrase")))
