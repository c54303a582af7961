"""Which number is meant, and what is said where none is published."""

import pytest

from mmseg_tfovss.reproduce import targets
from mmseg_tfovss.reproduce.targets import find_target


def test_the_authors_own_number_comes_first_and_quotes_follow():
    found = find_target("sclip", "voc21", "vit-b16")
    assert (found.number.scores["mIoU"], found.number.source) == ("59.63", "README of wangf3014/SCLIP @ b56bd30")
    assert found.path.stem == "sclip_vit-b16_voc21"
    assert [other.setting for other in found.others] == [
        "as quoted by DSLO",
        "as quoted by LHT-CLIP",
        "as quoted by ResCLIP and Trident",
    ]


@pytest.mark.parametrize(
    ("method", "backbone", "printed"),
    [
        ("SC-CLIP", "ViT-L-14", "ViT-L-14/openai"),
        ("dslo_op", "vit-b16", "ViT-B-16/openai + Stable Diffusion 2"),
        ("Trident", "vit_h14", "ViT-H-14/laion2b_s32b_b79k"),
        ("lposs", "vit-b16", "ViT-B-16/laion2b_s34b_b88k"),
        ("CorrCLIP", "vit-b16", "ViT-B-16-quickgelu/metaclip_fullcc + facebook/dino-vitb8"),
        ("lht_clip_clearclip", "vit-b16", "ViT-B-16/openai"),
    ],
)
def test_a_numbers_networks_are_the_configs(method, backbone, printed):
    assert find_target(method, "voc21", backbone).number.backbone == printed


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("sclip", "ade847", "vit-b16"),
            r"of sclip with vit-b16 on ade847 is published\. There are numbers for vit-b16 on voc",
        ),
        (
            ("sclip", "voc21", "vit-l14"),
            r"with vit-l14 on voc21 is published\. There are numbers for vit-b16 on voc21, ",
        ),
        (("sclip", "pocket_all", "vit-b16"), r"on pocket_all is published"),
        (
            ("gem", "voc20", "vit-b16"),
            r"nor for another dataset or backbone; there are numbers of gem_clearclip \(vit-b16",
        ),
        (("scilp", "voc21", "vit-b16"), r"Unknown method 'scilp'\. Did you mean sclip"),
        (("sclip", "voc12", "vit-b16"), r"Unknown dataset 'voc12'\. Did you mean voc2. or voc2.\? Valid: voc21, "),
    ],
)
def test_where_there_is_no_number_it_says_where_there_are(words, told, monkeypatch):
    monkeypatch.setattr(targets, "PREPARED", ("voc21", "voc20"))  # all ten take long
    with pytest.raises(ValueError, match=told):
        find_target(*words)
