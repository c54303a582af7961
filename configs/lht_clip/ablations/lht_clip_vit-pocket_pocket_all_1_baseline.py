# SCLIP without residual and feed-forward in its last block: the row that all others are compared with.
_base_ = "../lht_clip_vit-pocket_pocket_all.py"
setting = "baseline"
model = dict(tau=1, alpha=0, k=0, remove_residual=True)
