# The same method inside LHT-CLIP inside DSLO, whole images.
_base_ = "./edge_smoothing_pocket_all.py"
model = dict(
    _base_.unified.model,
    _delete_=True,
    type="DSLO",
    backbone=dict(type="CLIPImageEncoder", arch="auto", pretrained="pocket"),
    base=dict(type="LHTCLIP", k=0, base=dict(type="EdgeSmoothing", edges=dict(type="SobelEdges"))),
    graph=dict(type="CLIPGraph"),
    theta=0.1,
    test_cfg=dict(mode="whole"),
)
unified = dict(model=dict(test_cfg=dict(_delete_=True, mode="whole")))
