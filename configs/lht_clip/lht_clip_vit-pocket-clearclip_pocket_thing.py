_base_ = "../clearclip/clearclip_vit-pocket_pocket_thing.py"
setting = "ClearCLIP"
# beta chosen on pocket: outputs of all heads of this small CLIP are alike, see docs/lht_clip.md.
model = dict(type="LHTCLIP", beta=0.95, base=dict(type="ClearCLIP"))
