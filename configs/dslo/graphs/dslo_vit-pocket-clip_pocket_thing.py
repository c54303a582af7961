# DSLO over CLIP's own attention.
_base_ = "../dslo_vit-pocket_pocket_thing.py"
model = dict(graph=dict(_delete_=True, type="CLIPGraph"))
