"""Images that a program gives."""

import re

import numpy as np
import pytest
from PIL import Image

from mmseg_tfovss.datasets import given
from mmseg_tfovss.datasets.files import read_image
from mmseg_tfovss.datasets.given import pixels_of

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "LA", "RGBA"])
def test_a_picture_has_the_pixels_of_its_file(mode, tmp_path):
    Image.fromarray(PIXELS).convert(mode).save(tmp_path / "picture.png")
    found = pixels_of(Image.open(tmp_path / "picture.png"))
    assert np.array_equal(found, read_image(tmp_path / "picture.png"))
    assert np.array_equal(found, pixels_of(str(tmp_path / "picture.png")))


def test_an_array_is_rgb_and_becomes_bgr():
    assert np.array_equal(pixels_of(PIXELS), PIXELS[..., ::-1])


def test_a_damaged_picture_is_one_sentence(tmp_path):
    Image.fromarray(PIXELS.repeat(40, axis=0)).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:900])
    with pytest.raises(ValueError, match="The photo is truncated or damaged"):
        pixels_of(Image.open(tmp_path / "cut.jpg"), "photo")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((8,), np.uint8), "its shape is (8,)."),
        (np.zeros((8, 8, 3), np.int64), "it holds int64: convert it."),
        (Image.new("I;16", (8, 8)), "has the mode I;16 of PIL"),
        (None, "but got NoneType"),
    ],
)
def test_what_is_no_image_is_one_sentence(image, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        pixels_of(image)


def test_an_image_of_too_many_pixels_is_refused(monkeypatch):
    monkeypatch.setattr(given, "MOST_PIXELS", 30)
    with pytest.raises(ValueError, match="has 35 pixels, but at most 30 are taken"):
        pixels_of(PIXELS)
