_base_ = "../sclip/sclip_vit-pocket_pocket_all.py"
# beta chosen on pocket: outputs of all heads of this small CLIP are alike, see docs/methods/lht_clip.md.
model = dict(type="LHTCLIP", beta=0.98, base=dict(type="SCLIP"))
