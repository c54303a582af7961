_base_ = ["../pc459.py", "./_protocol.py"]
