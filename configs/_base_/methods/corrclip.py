# Settings of zdk258/CorrCLIP @ 103bc18, folder CorrCLIPv1, with DINO ViT-B/8 and the authors' maps of SAM 2's regions:
# region_masks.zip of the data set dk258/CorrCLIP on the Hugging Face hub, extracted in data/.
# The weights are MetaCLIP's. In the unified protocol they are OpenAI's, as those of the other methods: `openai`.
_base_ = ["../encoders/vit-b16.py", "../runtime.py"]
protocol = "paper"
openai = dict(backbone=dict(arch="ViT-B-16", pretrained="openai"))
model = dict(
    type="CorrCLIP",
    backbone=dict(arch="ViT-B-16-quickgelu", pretrained="metaclip_fullcc"),
    vfm=dict(type="DINO"),
    short_side=336,
    decode_head=dict(type="TextHead", logit_scale=40),
    test_cfg=dict(mode="slide", crop_size=336, stride=112),
)
