# Without the feedback pass, as in the paper.
_base_ = "./lht_clip_vit-pocket_pocket_all.py"
model = dict(base=dict(type="ResCLIP", base=dict(type="NACLIP"), feedback=False))
