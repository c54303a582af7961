# LHT-CLIP around CLIPtrase with its settings for 336 pixels, and in the unified protocol those for its windows, see
# cliptrase.py. Around SCLIP, ClearCLIP or NACLIP, whose settings stay what they are, it starts from their leaves
# instead. The paper does not evaluate the bases NACLIP and CLIPtrase.
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
