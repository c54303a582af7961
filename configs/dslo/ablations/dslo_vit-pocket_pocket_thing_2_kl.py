# Row II of the paper's Table 2: KL terms between raw logits and the uniform distribution.
_base_ = "../dslo_vit-pocket_pocket_thing.py"
setting = "+ KL"
model = dict(mode="kl", theta=0, top_k=0, upsampling="bilinear")
