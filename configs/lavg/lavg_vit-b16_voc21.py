_base_ = ["../_base_/datasets/voc21.py", "../_base_/methods/lavg.py"]
model = dict(
    remove_falsefg=True,
    decode_head=dict(vocabulary="voc21", logit_scale=65, prob_threshold=0.1, area_threshold=0.1),
)
# On this dataset alone, and so not in the unified protocol.
unified = dict(model=dict(remove_falsefg=False))
