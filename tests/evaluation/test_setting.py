"""What a run is called beside its method is made from its composition."""

import re
from pathlib import Path

import pytest

from mmseg_tfovss.config import load_config
from mmseg_tfovss.evaluation.setting import setting_of

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize(
    ("leaf", "options", "expected"),
    [
        ("sclip/sclip_vit-b16_voc21.py", {}, ""),
        ("cliptrase/cliptrase_vit-b16_voc21.py", {}, "336 pixels"),
        ("lht_clip/lht_clip_vit-b16_voc21.py", {}, "around SCLIP"),
        ("lht_clip/lht_clip_vit-b16-cliptrase_voc21.py", {}, "around CLIPtrase"),  # its own defaults are no change
        (
            "lht_clip/lht_clip_vit-b16-cliptrase_voc21.py",
            {"protocol": "unified"},
            "around CLIPtrase (eps=0.7, min_samples=3)",
        ),
        ("lht_clip/ablations/lht_clip_vit-b16_cityscapes_2_atr.py", {}, "around SCLIP, ATR"),
        ("dslo/dslo_vit-b16-op_voc21.py", {}, "optimal path"),
        # What is tuned by dataset or network is part of no name, unless it is switched off.
        ("lht_clip/lht_clip_vit-b16-resclip_voc21.py", {}, "around ResCLIP (around NACLIP, feedback=False)"),
        ("dslo/versatility/dslo_vit-l14-rfclip-op_voc21.py", {}, "around RFCLIP, optimal path"),
        ("dslo/versatility/dslo_vit-b16-cass_voc20.py", {}, "around CASS, maximum velocity"),  # nor are networks
        (
            "dslo/versatility/dslo_vit-b16-rfclip_voc21.py",
            {"model.base.gamma": 0, "model.base.sigma": 4},
            "around RFCLIP (gamma=0, sigma=4), maximum velocity",
        ),
        (
            "dslo/dslo_vit-b16_voc21.py",
            {"model.base": {"type": "NACLIP", "sigma": None, "pamr_steps": 10}},
            "around NACLIP (sigma=None), maximum velocity",
        ),
        (
            "dslo/dslo_vit-b16_voc21.py",
            {"model.base": {"type": "LHTCLIP", "k": 3, "tau": 0.5, "base": {"type": "SCLIP", "precision": "bf16"}}},
            "around LHTCLIP (around SCLIP (precision=bf16), k=3), maximum velocity",
        ),
        (
            "dslo/dslo_vit-b16_voc21.py",
            {"model.base": {"type": "CLIPtraseSAM", "sam": {"type": "SAM"}}},
            "around CLIPtraseSAM, maximum velocity",
        ),
    ],
)
def test_settings(leaf, options, expected):
    assert setting_of(load_config(CONFIGS / leaf, options)) == expected


def test_no_config_says_its_base_by_itself():
    """A text beside the composition could be forgotten, or inherited."""
    texts = [
        text for path in CONFIGS.rglob("*.py") for text in re.findall(r'setting="?(?: = ")?([^"]*)"', path.read_text())
    ]
    texts += [
        text for path in CONFIGS.rglob("*.py") for text in re.findall(r'^setting = "(.*)"', path.read_text(), re.M)
    ]
    assert len(texts) > 20
    assert not [text for text in texts if any(name in text for name in ("CLIP", "DSLO"))]
