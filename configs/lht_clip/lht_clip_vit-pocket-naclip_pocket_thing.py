_base_ = "../naclip/naclip_vit-pocket_pocket_thing.py"
setting = "NACLIP"
model = dict(type="LHTCLIP", base=dict(type="NACLIP"))
