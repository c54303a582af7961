"""Official settings are chosen so that they mean the same as ours."""

import pytest

from mmseg_tfovss.config import load_config
from mmseg_tfovss.profiling.official.checkout import Checkout
from mmseg_tfovss.profiling.official.settings import choose_settings

HEAD = """
@MODELS.register_module()
class Theirs:
    def __init__(self, {}):
        ...
"""


def make(tmp_path, options, settings=""):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/cfg_voc20.py").write_text(f"model = dict(type='Theirs', {settings})\n")
    (tmp_path / "theirs.py").write_text(HEAD.format(options))
    return Checkout(tmp_path)


@pytest.mark.parametrize(("config", "expected"), [("clearclip", "ClearCLIP"), ("clip", "vanilla"), ("gem", "GEM")])
def test_clearclips_repository_is_told_which_method(tmp_path, config, expected):
    checkout = make(tmp_path, "clip_type, vit_type, model_type", "model_type='vanilla'")
    ours = load_config(f"{config}_vit-b16_voc20")
    assert choose_settings(checkout, ours, {})["model_type"] == expected
    assert choose_settings(checkout, ours, {"model_type": "SCLIP"})["model_type"] == "SCLIP"


def test_cass_is_run_as_its_readme_says(tmp_path):
    checkout = make(tmp_path, "h_threshold=0.0, pamr_steps=10, dataset='./configs/cfg_voc21.py'")
    settings = choose_settings(checkout, load_config("cass_vit-b16_voc20"), {})
    assert (settings["pamr_steps"], settings["dataset"]) == (0, "./configs/cfg_voc20.py")


def test_an_option_that_it_lacks_is_named(tmp_path):
    checkout = make(tmp_path, "prob_thd=0.0, pamr_steps=10")
    with pytest.raises(ValueError, match=r"--official: theirs.py has no option pamr. It has: pamr_steps, prob_thd."):
        choose_settings(checkout, load_config("naclip_vit-b16_voc20"), {"pamr": 0})
