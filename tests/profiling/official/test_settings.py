"""Official settings are chosen so that they mean the same as ours."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from mmseg_tfovss.config import load_config
from mmseg_tfovss.profiling.official.segmentor import Segmentor
from mmseg_tfovss.profiling.official.settings import check_same_work, choose_settings


def theirs(**options):
    return Segmentor(Path("theirs.py"), "Theirs", options, asks_hub=False)


CLEARCLIP = theirs(clip_type=None, vit_type=None, model_type=None)


@pytest.mark.parametrize(
    ("config", "expected", "without", "threshold"),
    [
        ("clearclip_vit-l14_voc21", "ClearCLIP", True, 0.5),
        ("clip_vit-l14_voc20", "vanilla", False, 0.0),
        ("gem_vit-l14-clearclip_voc21", "GEM", False, 0.2),
    ],
)
def test_clearclips_repository_is_told_which_method(config, expected, without, threshold):
    own, ours = {"model_type": "vanilla", "ignore_residual": True, "prob_thd": 0.5}, load_config(config)
    found = choose_settings(own, CLEARCLIP, ours, {})
    assert (found["model_type"], found["vit_type"]) == (expected, "ViT-L-14")
    assert (found["ignore_residual"], found["prob_thd"]) == (without, threshold)
    assert choose_settings(own, CLEARCLIP, ours, {"model_type": "SCLIP"})["model_type"] == "SCLIP"


def test_the_architecture_is_ours():
    found = choose_settings({}, theirs(model_type=None), load_config("proxyclip_vit-l14_voc20"), {})
    assert found == {"model_type": "ViT-L-14"}


def test_what_readmes_give_on_the_command_line_is_given():
    cass = theirs(h_threshold=0.0, pamr_steps=10)
    assert choose_settings({}, cass, load_config("cass_vit-b16_voc20"), {}) == {"pamr_steps": 0}
    trident = theirs(sam_refinement=False)
    ours = load_config("trident_vit-b16_voc20")
    assert choose_settings({}, trident, ours, {}) == {"sam_refinement": True}
    assert choose_settings({}, trident, ours, {"sam_refinement": False}) == {"sam_refinement": False}


def test_an_option_that_it_lacks_is_named():
    with pytest.raises(ValueError, match=r"--official: theirs.py has no option pamr. It has: pamr_steps, prob_thd."):
        choose_settings({}, theirs(prob_thd=0.0, pamr_steps=10), load_config("naclip_vit-b16_voc20"), {"pamr": 0})


def ours(mode="slide", crop=224, stride=112, pamr_steps=0):
    return SimpleNamespace(mode=mode, crop=(crop, crop), stride=(stride, stride), pamr_steps=pamr_steps)


WINDOWS = theirs(slide_crop=224, slide_stride=112, pamr_steps=0)


def test_the_same_work_passes():
    check_same_work({}, WINDOWS, ours())
    check_same_work({"slide_crop": 0}, WINDOWS, ours("whole", stride=0))
    check_same_work({}, theirs(prob_thd=0.0), ours(stride=56))


@pytest.mark.parametrize(
    ("settings", "side", "message"),
    [
        ({}, ours(stride=56), "slide_stride is 112, but ours means 56"),
        ({"slide_crop": 0}, ours(), "slide_crop is 0, but ours means 224"),
        ({}, ours("whole"), "slide_crop is 224, but ours means 0"),
        ({"pamr_steps": 10}, ours(), "pamr_steps is 10, but ours means 0"),
    ],
)
def test_other_work_is_refused(settings, side, message):
    with pytest.raises(ValueError, match=f"--against: the official {message}.* Add --official "):
        check_same_work(settings, WINDOWS, side)
