# Each window of 8 x 8 patches is clustered by itself, with the authors' setting for their smaller images.
_base_ = ["../_base_/datasets/pocket_all.py", "../_base_/encoders/vit-pocket.py", "../_base_/runtime.py"]
protocol = "unified"
setting = "CLIPtrase"
# beta chosen on pocket: outputs of all heads of this small CLIP are alike, see docs/lht_clip.md.
model = dict(type="LHTCLIP", beta=0.95, base=dict(type="CLIPtrase", eps=0.7, min_samples=3))
