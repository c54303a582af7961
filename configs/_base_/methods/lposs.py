# Settings of vladan-stojnic/LPOSS @ e489a74: the same for all datasets. LAION's CLIP has GELU; a local file of it would
# be taken for one of OpenAI's, with QuickGELU, without the line that says so.
# The unified protocol takes OpenAI's CLIP, as all other methods do: `untuned`.
_base_ = ["../encoders/vit-b16.py", "../runtime.py"]
protocol = "paper"
untuned = dict(backbone=dict(pretrained="openai", quick_gelu=None))
model = dict(
    type="LPOSS",
    vfm=dict(type="DINO", pretrained="facebook/dino-vitb16"),
    short_side=448,
    backbone=dict(pretrained="laion2b_s34b_b88k", quick_gelu=False, position_mode="exact"),
    data_preprocessor=dict(type="CLIPPreprocessor", exact=True),
    decode_head=dict(type="TextHead", logit_scale=1),
    test_cfg=dict(mode="slide", crop_size=224, stride=112),
)
