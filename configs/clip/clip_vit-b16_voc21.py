# Background threshold as given by the authors in issue 2 of mc-lan/ClearCLIP.
_base_ = ["../_base_/datasets/voc21.py", "../_base_/methods/clip.py"]
model = dict(pad_to="patch", decode_head=dict(vocabulary="voc21_clearclip", prob_threshold=0.2))
