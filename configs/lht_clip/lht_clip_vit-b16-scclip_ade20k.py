_base_ = "../sc_clip/sc_clip_vit-b16_ade20k.py"
model = dict(type="LHTCLIP", base=dict(type="SCCLIP"))
