"""Masks and overlays."""

import numpy as np
import pytest
from PIL import Image

from mmseg_tfovss.analysis.overlay import class_colours, draw_overlay, save_mask


def test_indexed_mask_keeps_class_ids(tmp_path):
    labels = np.arange(6).reshape(2, 3)
    save_mask(labels, class_colours(6), tmp_path / "mask.png")
    with Image.open(tmp_path / "mask.png") as mask:
        assert mask.mode == "P"
        assert np.array_equal(np.array(mask), labels)


def test_more_than_256_classes_are_kept_in_16_bits(tmp_path):
    labels = np.array([[0, 846]])
    save_mask(labels, class_colours(847), tmp_path / "mask.png")
    with Image.open(tmp_path / "mask.png") as mask:
        assert np.array_equal(np.array(mask), labels)


@pytest.mark.parametrize("count", [1, 21, 171, 847])
def test_colours_are_distinct(count):
    colours = class_colours(count)
    assert colours.shape == (count, 3)
    assert len(np.unique(colours, axis=0)) > 0.6 * count


def test_overlay_shows_the_classes_that_occur_beside_the_image():
    image = np.full((30, 40, 3), 200, np.uint8)
    labels = np.zeros((30, 40), int)
    labels[:, 20:] = 1
    colours = class_colours(3)
    picture = np.array(draw_overlay(image, labels, ("cat", "dog", "never"), colours))
    assert picture.shape[1] > 40
    assert np.array_equal(picture[0, 39], np.round(0.45 * 200 + 0.55 * colours[1]).astype(np.uint8))
    legend = picture[:, 40:].reshape(-1, 3)
    for colour, shown in zip(colours, (True, True, False), strict=True):
        assert (legend == colour).all(1).any() == shown
