# Row II of the paper's Table 2: KL terms between raw logits and the uniform distribution.
_base_ = "../dslo_vit-b16_ade20k.py"
setting = "+ KL"
model = dict(mode="kl", theta=0, top_k=0, upsampling="bilinear")
