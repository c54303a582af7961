"""Options that act only beside certain values of others: set where they would not, they are refused."""

from pathlib import Path
from typing import ClassVar

import pytest

from mmseg_tfovss.acting import _Method, check_acting
from mmseg_tfovss.config import check_settings, load_config
from mmseg_tfovss.methods.sclip import SCLIP
from mmseg_tfovss.registry import MODELS
from tests.methods.own_config import registered_methods

CONFIGS = Path(__file__).parents[1] / "configs"
WHOLE, SLIDE = "resclip/resclip_vit-b16_voc21.py", "sclip/sclip_vit-b16_voc21.py"
RESCLIP_IN_LHT = "lht_clip/lht_clip_vit-pocket-resclip_pocket_all.py"
DSLO_ON_RF = "dslo/versatility/dslo_vit-b16-rfclip_voc21.py"


def load(leaf, **options):
    """A leaf with options below ``model``; ``__`` stands for a dot."""
    return load_config(CONFIGS / leaf, {f"model.{name.replace('__', '.')}": value for name, value in options.items()})


@pytest.mark.parametrize(
    ("leaf", "options", "needed"),
    [
        (WHOLE, {"test_cfg__crop_size": 224}, r"model\.test_cfg\.mode='slide'"),
        (WHOLE, {"test_cfg__stride": 112}, r"model\.test_cfg\.mode='slide'"),
        (WHOLE, {"pad_to": 16}, r"model\.test_cfg\.mode='slide'"),
        (SLIDE, {"whole_upsampling": "two_step"}, r"model\.test_cfg\.mode='whole'"),
        (SLIDE, {"pamr_dilations": [4]}, r"model\.pamr_steps above 0"),
        ("naclip/naclip_vit-b16_voc21.py", {"pamr_steps": 0, "pamr_dilations": 4}, r"model\.pamr_steps above 0"),
        (WHOLE, {"pamr_dilations": [4]}, r"model\.pamr_steps above 0"),  # ResCLIP's 0, not NACLIP's 10
        (WHOLE, {"label_pamr_steps": 0, "label_pamr_dilations": [4]}, r"model\.label_pamr_steps above 0"),
        (WHOLE, {"rcs_weights": (2, 0), "rcs_layers": (2, 3)}, r"a lambda of model\.rcs_weights above 0"),
        (WHOLE, {"sfr_weights": (2, 0), "sfr_sigma": 3}, r"a lambda of model\.sfr_weights above 0"),
        ("rf_clip/rf_clip_vit-b16_voc21.py", {"prior_from": "window"}, r"model\.test_cfg\.mode='slide', and"),
        ("rf_clip/rf_clip_vit-b16_voc21.py", {"alpha": 0, "t": 0.3}, r"model\.alpha above 0"),
        ("rf_clip/rf_clip_vit-b16_voc21.py", {"alpha": 0, "linkage": "ward"}, r"model\.alpha above 0"),
        ("rf_clip/rf_clip_vit-b16_voc21.py", {"denoise_alpha": 0, "sigma": 3}, r"model\.denoise_alpha above 0, or"),
        ("sc_clip/sc_clip_vit-b16_voc21.py", {"contamination": 0, "neighbours": 9}, r"model\.contamination above 0"),
        ("lht_clip/lht_clip_vit-b16_voc21.py", {"k": 0, "beta": 0.6}, r"model\.k above 0"),
        ("lht_clip/lht_clip_vit-b16_voc21.py", {"tau": 1, "sigma": 2}, r"model\.tau below 1"),
        ("lht_clip/lht_clip_vit-b16_voc21.py", {"alpha": 0, "layers": (2, 3)}, r"model\.alpha above 0"),
        ("cliptrase/cliptrase_vit-b16_voc21.py", {"cluster": "none", "eps": 0.4}, r"model\.cluster other than 'none'"),
        (
            "cliptrase/cliptrase_vit-b16_voc21.py",
            {"mask_network": {"type": "DINOv2"}, "correlation_layer": 9},
            r"model\.mask_network=None",
        ),
        ("dslo/dslo_vit-b16_voc21.py", {"epsilon": 0.3}, r"model\.mode='optimal_path' or model\.mode='fusion'"),
        ("dslo/dslo_vit-b16-op_voc21.py", {"max_steps": 9}, r"model\.mode='max_velocity' or model\.mode='fusion'"),
        ("dslo/dslo_vit-b16_voc21.py", {"mode": "logits", "theta": 0.3}, r"model\.mode other than 'logits'"),
        ("dslo/dslo_vit-b16_voc21.py", {"upsampling": "bilinear", "radius": 3}, r"model\.upsampling='jbu'"),
        (DSLO_ON_RF, {"base__alpha": 0, "base__t": 0.3}, r"model\.base\.alpha above 0"),
        ("trident/trident_vit-b16_voc21.py", {"sam_refine": False, "coarse_thresh": 0.9}, r"model\.sam_refine=True"),
        (DSLO_ON_RF, {"base": {"type": "RFCLIP", "alpha": 0, "t": 0.3}}, r"model\.base\.alpha above 0"),
        (
            RESCLIP_IN_LHT,
            {"base__label_pamr_steps": 0, "base__label_pamr_dilations": [3]},
            r"model\.base\.label_pamr_s",
        ),
    ],
    ids=str,
)
def test_what_would_not_act_is_refused_with_what_it_needs(leaf, options, needed):
    name = list(options)[-1].replace("__", ".")
    with pytest.raises(
        ValueError, match=rf"^model\.{name}\S*=.* has no effect: it acts with {needed}.* only\. Set that"
    ):
        load(leaf, **options)


@pytest.mark.parametrize(
    ("leaf", "options"),
    [
        (WHOLE, {"test_cfg__mode": "slide", "test_cfg__crop_size": 224, "test_cfg__stride": 112, "pad_to": 16}),
        (WHOLE, {"whole_upsampling": "direct"}),
        (WHOLE, {"pamr_steps": 2, "pamr_dilations": [4]}),
        (WHOLE, {"label_pamr_dilations": [4], "sfr_sigma": 3, "rcs_layers": (2, 3)}),
        # A leaf's own settings may wait: its windows for another mode, its weights for another share.
        (SLIDE, {"test_cfg__mode": "whole"}),
        ("rf_clip/rf_clip_vit-b16_voc21.py", {"alpha": 0}),
        ("rf_clip/rf_clip_vit-b16_cityscapes.py", {"prior_from": "image"}),
        # NACLIP's own default, also where another method is around it.
        ("naclip/naclip_vit-b16_voc21.py", {"pamr_dilations": [4]}),
        ("dslo/dslo_vit-b16_voc21.py", {"base": {"type": "NACLIP", "pamr_dilations": [4]}}),
        # No setting: None, and what the option is anyway.
        (WHOLE, {"pad_to": None}),
        (SLIDE, {"whole_upsampling": "direct", "pamr_dilations": [8, 16]}),
        (SLIDE, {"test_cfg__mode": "whole", "test_cfg__crop_size": 224}),
        ("cass/cass_vit-b16_cityscapes.py", {"test_cfg__mode": "whole", "prior_from": "image"}),
        # Windows and mode stated together, as recorded cases state them.
        (SLIDE, {"test_cfg__mode": "whole", "test_cfg__stride": 56, "test_cfg__crop_size": 0}),
        (WHOLE, {"test_cfg": {"mode": "whole", "crop_size": 224}}),
        # Another check's: these are no methods, or no options of theirs.
        (SLIDE, {"type": "SCLIPP", "pad_to": 16}),
        (SLIDE, {"base__pad_to": 16}),
    ],
    ids=str,
)
def test_what_acts_or_is_no_setting_is_taken(leaf, options):
    load(leaf, **options)


def test_the_unified_protocol_is_what_options_act_in():
    leaf = CONFIGS / "rf_clip" / "rf_clip_vit-b16_voc21.py"
    load_config(leaf, {"protocol": "unified", "model.prior_from": "window", "model.test_cfg.stride": 56})
    with pytest.raises(ValueError, match=r"model\.whole_upsampling='direct' has no effect"):
        load_config(leaf, {"protocol": "unified", "model.whole_upsampling": "direct"})


def test_a_method_of_tomorrow_says_it_in_its_class():
    class Louder(SCLIP):
        acts_with: ClassVar = {"gain": SCLIP.acts_with["whole_upsampling"]}

        def __init__(self, *, gain=1.0, pamr_steps=3, **kwargs):
            super().__init__(pamr_steps=pamr_steps, **kwargs)

    model = {"type": Louder, "test_cfg": {"mode": "slide", "crop_size": 32, "stride": 16}, "gain": 2.0}
    with pytest.raises(ValueError, match=r"model\.gain=2\.0 has no effect: it acts with model\.test_cfg\.mode='whole'"):
        check_acting(model, {"model.gain": 2.0}, {"type": Louder})
    check_acting({**model, "test_cfg": {"mode": "whole"}}, {"model.gain": 2.0}, {"type": Louder})
    check_acting({**model, "pamr_dilations": [3]}, {"model.pamr_dilations": [3]}, {"type": Louder})


@pytest.mark.parametrize("method", registered_methods())
def test_tables_name_options_that_there_are(method):
    """Those that need something, and those that they need."""
    kind, asked = MODELS.get(method), []
    for option, needs in _Method("model", kind, {}).needs().items():
        assert needs.met(lambda name: asked.append(name) or "neither") in (True, False)
        asked.append(option)
    assert asked
    check_settings({"type": method, **{name.partition(".")[0]: 1 for name in asked}}, MODELS, "model")
