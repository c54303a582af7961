# LHT-CLIP around CLIPtrase with its settings for 336 pixels, and in the unified protocol those for its windows, see
# cliptrase.py. Around SCLIP, ClearCLIP, NACLIP, ResCLIP or SC-CLIP, whose settings stay what they are, it starts from
# leaves of theirs instead. The paper evaluates SCLIP, ClearCLIP and ResCLIP; on what ResCLIP is put it does not say
# [open]: on NACLIP, as by ResCLIP's authors.
_base_ = ["../encoders/vit-b16.py", "../runtime.py"]
protocol = "paper"
model = dict(
    type="LHTCLIP",
    short_side=336,
    centre_square=True,
    base=dict(type="CLIPtrase", eps=1.1, min_samples=7),
    decode_head=dict(type="TextHead"),
    test_cfg=dict(mode="whole"),
)
