_base_ = "../sclip/sclip_vit-b16_context59.py"
model = dict(type="LHTCLIP", base=dict(type="SCLIP"))
