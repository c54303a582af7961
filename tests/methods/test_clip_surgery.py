"""CLIP Surgery: the official outputs, the second path, and feature surgery."""

import numpy as np
import pytest

from tests.parity.cases import TOLERANCE, build_square_case, check_case, load_case, parity_cases, run_case

CASES = parity_cases("clip_surgery")


def build(settings, weights, folder, **options):
    way = {"position_mode": "bilinear", "templates": "imagenet85"}
    return build_square_case(settings, weights, folder, "CLIPSurgery", **way, **options)


def test_there_are_official_outputs():
    assert len(CASES) >= 2


@pytest.mark.parametrize("name", CASES)
def test_equals_official_code(name, tiny_clip, tmp_path):
    settings, official = load_case("clip_surgery", name)
    check_case(build(settings, tiny_clip, tmp_path), settings, official)
    plain = run_case(build(settings, tiny_clip, tmp_path, feature_surgery=False), settings)
    assert np.abs(plain["patch_logits"] - official["patch_cosine"]).max() < TOLERANCE
    single = run_case(build(settings, tiny_clip, tmp_path, subtracted_text=""), settings)
    assert np.abs(single["patch_logits"][0] - official["single_text"]).max() < TOLERANCE
    stretched = run_case(build(settings, tiny_clip, tmp_path, normalize=True), settings)
    assert np.abs(stretched["seg_logits"] - official["minmax"]).max() < 1e-4
    assert (stretched["pred"] == official["pred_minmax"]).mean() >= settings["min_label_agreement"]
