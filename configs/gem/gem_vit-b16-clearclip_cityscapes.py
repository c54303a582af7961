# As mc-lan/ClearCLIP @ ad68a40 runs GEM: with the settings that it has for MaskCLIP.
_base_ = "../maskclip/maskclip_vit-b16_cityscapes.py"
setting = "sliding windows, 80 templates"
model = dict(type="GEM", backbone=dict(position_mode="antialiased"))
unified = "run the config without -clearclip in it, which would be the same run but for rounding"
