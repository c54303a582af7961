_base_ = "../sc_clip/sc_clip_vit-b16_cityscapes.py"
model = dict(type="LHTCLIP", base=dict(type="SCCLIP"))
