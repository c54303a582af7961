"""Masks and overlays."""

import numpy as np
import pytest
from PIL import Image

from mmseg_tfovss.pictures.overlay import (
    class_colours,
    dataset_colours,
    draw_overlay,
    named_colours,
    percent,
    save_mask,
)
from mmseg_tfovss.registry import DATASETS


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


@pytest.mark.parametrize("grey_first", [True, False])
def test_colours_are_distinct_and_do_not_depend_on_how_many_follow(grey_first):
    many = class_colours(900, grey_first=grey_first)
    assert many.shape == (900, 3)
    assert many.dtype == np.uint8
    assert len(np.unique(many, axis=0)) == 900
    for count in (0, 1, 2, 21, 150):
        assert np.array_equal(class_colours(count, grey_first=grey_first), many[:count])
    few = many[:14].astype(float)
    distances = np.linalg.norm(few[:, None] - few, axis=-1)
    assert distances[~np.eye(14, dtype=bool)].min() > 80
    assert class_colours(3000, grey_first=grey_first).shape == (3000, 3)  # more than there are


def test_grey_is_for_a_background():
    greys = [bool(np.ptp(named_colours(names)[0]) == 0) for names in (("background", "cat"), ("apple", "background"))]
    assert greys == [True, False]
    assert np.array_equal(named_colours(("background", "cat"))[1], named_colours(("cat",))[0])


def test_a_datasets_own_palette_without_its_repetitions():
    pascal = DATASETS.get("PascalVOCDataset").METAINFO
    settings = {"type": "PascalVOCDataset"}
    assert dataset_colours(settings, pascal["classes"]).tolist() == pascal["palette"]
    other = {**settings, "metainfo": {"palette": [[1, 2, 3], [4, 5, 6], [1, 2, 3]]}}
    colours = dataset_colours(other, ("a", "b", "c"))
    assert colours[:2].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert len(np.unique(colours, axis=0)) == 3
    assert np.array_equal(dataset_colours(settings, ("a", "b")), named_colours(("a", "b")))  # other classes
    stuff = DATASETS.get("COCOStuffDataset").METAINFO["classes"]
    assert len(np.unique(dataset_colours({"type": "COCOStuffDataset"}, stuff), axis=0)) == 171


def test_overlay_shows_the_classes_that_occur_beside_the_image():
    image = np.full((30, 40, 3), 200, np.uint8)
    labels = np.zeros((30, 40), int)
    labels[:, 20:] = 1
    colours = class_colours(3)
    picture = np.array(draw_overlay(image, labels, ("cat", "dog", "never"), colours))
    assert picture.shape[1] > 40
    assert np.array_equal(picture[0, 39], np.round(0.3 * 200 + 0.7 * colours[1]).astype(np.uint8))
    legend = picture[:, 40:].reshape(-1, 3)
    for colour, shown in zip(colours, (True, True, False), strict=True):
        assert (legend == np.round(0.3 * 128 + 0.7 * colour).astype(np.uint8)).all(1).any() == shown


def test_long_names_leave_room_for_the_image():
    image, labels = np.zeros((30, 40, 3), np.uint8), np.zeros((30, 40), int)
    widths = [draw_overlay(image, labels, ("m" * length,), class_colours(1)).width for length in (60, 400)]
    assert widths[1] <= widths[0] < 1000


def test_what_occurs_is_never_nothing():
    assert [percent(share) for share in (1.0, 0.255, 0.006, 0.004)] == ["100%", "26%", "1%", "<1%"]
