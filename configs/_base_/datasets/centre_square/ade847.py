_base_ = ["../ade847.py", "./_protocol.py"]
