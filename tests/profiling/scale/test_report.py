"""How numbers are written in the tables."""

import pytest

from mmseg_tfovss.profiling.scale.points import Point, Sweeps
from mmseg_tfovss.profiling.scale.report import to_text


@pytest.mark.parametrize(
    ("megapixels", "cells"),
    [(0.02, "160 x 128 | 0.020"), (0.3, "640 x 480 | 0.31"), (2, "1632 x 1232 | 2.0"), (8, "3264 x 2448 | 8.0")],
)
def test_megapixels_have_two_digits_and_words_their_commas(megapixels, cells):
    sweeps = Sweeps((megapixels,), (20_000,), (1,))
    text = to_text("sclip", sweeps, {Point(megapixels, 20_000, 1): None}, [])
    assert f"| {cells} | 20,000 | 1 | - |" in text
