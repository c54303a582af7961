_base_ = "../naclip/naclip_vit-pocket_pocket_all.py"
setting = "NACLIP"
model = dict(type="LHTCLIP", base=dict(type="NACLIP"))
