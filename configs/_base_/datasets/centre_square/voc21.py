# Void pixels around objects count as background.
_base_ = ["../voc21.py", "./_protocol.py"]
relabel = dict(mapping={255: 0}, unlabelled=[0, 255])
