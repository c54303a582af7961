# LHT-CLIP around NACLIP, whose settings stay what they are; the paper does not evaluate this base.
_base_ = "../naclip/naclip_vit-b16_ade20k.py"
setting = "NACLIP"
model = dict(type="LHTCLIP", base=dict(type="NACLIP"))
