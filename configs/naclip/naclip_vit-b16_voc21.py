_base_ = ["../_base_/datasets/voc21.py", "../_base_/methods/naclip.py"]
model = dict(decode_head=dict(vocabulary="voc21", prob_threshold=0.1), test_cfg=dict(_delete_=True, mode="whole"))
