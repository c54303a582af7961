_base_ = ["../_base_/datasets/voc20.py", "../_base_/methods/naclip.py"]
model = dict(decode_head=dict(vocabulary="voc20"), test_cfg=dict(_delete_=True, mode="whole"))
