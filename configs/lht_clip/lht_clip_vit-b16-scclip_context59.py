_base_ = "../sc_clip/sc_clip_vit-b16_context59.py"
model = dict(type="LHTCLIP", base=dict(type="SCCLIP"))
