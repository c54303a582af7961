# Row III of the paper's Table 2: patches whose class is not confident left out.
_base_ = "../dslo_vit-pocket_pocket_thing.py"
setting = "+ NMS"
model = dict(mode="kl", upsampling="bilinear")
