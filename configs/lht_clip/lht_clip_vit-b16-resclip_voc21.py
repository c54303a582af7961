# ResCLIP's settings are NACLIP's, but for rcs_weights and PAMR, which it leaves out; no feedback pass, as in the paper.
_base_ = "../naclip/naclip_vit-b16_voc21.py"
model = dict(
    type="LHTCLIP",
    base=dict(type="ResCLIP", base=dict(type="NACLIP"), rcs_weights=(2.0, 0.3), feedback=False),
)
unified = dict(model=dict(base=dict(rcs_weights=(2.0, 0.4))))
