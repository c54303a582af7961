# GEM in the tables of mc-lan/ClearCLIP @ ad68a40, whose code has MaskCLIP's settings for it.
_base_ = "../maskclip/maskclip_vit-b16_context59.py"
setting = "ClearCLIP's code"
model = dict(type="GEM", backbone=dict(position_mode="antialiased"))
unified = "run the config without -clearclip in it, which would be the same run but for rounding"
