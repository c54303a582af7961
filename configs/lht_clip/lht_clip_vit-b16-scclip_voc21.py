_base_ = "../sc_clip/sc_clip_vit-b16_voc21.py"
model = dict(type="LHTCLIP", base=dict(type="SCCLIP"))
