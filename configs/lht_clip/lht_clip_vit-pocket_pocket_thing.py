_base_ = "../sclip/sclip_vit-pocket_pocket_thing.py"
setting = "SCLIP"
model = dict(type="LHTCLIP", base=dict(type="SCLIP"))
