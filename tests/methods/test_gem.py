"""GEM: the official outputs in both forms, and the path of self-self attention."""

import numpy as np
import pytest

from tests.parity.cases import build_case, build_square_case, check_case, load_case, parity_cases, run_case

CASES = parity_cases("gem")
SQUARES = [name for name in CASES if "official" in name]


def build_square(settings, weights, folder, **options):
    own = {"gem_depth": settings["gem_depth"], "ss_attn_iter": settings["ss_attn_iter"]}
    assert settings["templates"] == ["a photo of a {}."]
    own |= {"ss_attn_temp": settings["ss_attn_temp"], **options}
    return build_square_case(settings, weights, folder, "GEM", position_mode="antialiased", templates="photo", **own)


def test_there_are_official_outputs():
    assert len(SQUARES) >= 3
    assert len(CASES) >= 4


@pytest.mark.parametrize("name", SQUARES)
def test_equals_official_code_on_squares(name, tiny_clip, tmp_path):
    settings, official = load_case("gem", name)
    model = build_square(settings, tiny_clip, tmp_path)
    check_case(model, settings, official, settings["resized_hw"])
    stretched = run_case(build_square(settings, tiny_clip, tmp_path, normalize=True), settings, settings["resized_hw"])
    assert np.abs(stretched["seg_logits"] - official["minmax"]).max() < 1e-4
    assert (stretched["pred"] == official["pred_minmax"]).mean() >= settings["min_label_agreement"]


@pytest.mark.parametrize("name", sorted(set(CASES) - set(SQUARES)))
def test_equals_clearclips_form(name, tiny_clip, tmp_path):
    settings, official = load_case("gem", name)
    model = build_case(
        settings,
        tiny_clip,
        tmp_path,
        "GEM",
        ignore_residual=settings["options"]["ignore_residual"],
        backbone={"position_mode": "antialiased"},
    )
    check_case(model, settings, official)
