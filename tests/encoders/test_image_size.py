"""The size at which a network sees an image."""

import numpy as np
import pytest
from mmcv.transforms import Resize
from PIL import Image

from mmseg_tfovss.encoders.image_size import (
    check_image_size,
    cut_centre_square,
    cut_centre_square_labels,
    resize_short_side,
    stretch_to_square,
)


def colours(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("short_side", [56, 60, 448])
@pytest.mark.parametrize("size", [(50, 75), (75, 50), (33, 33), (31, 97), (120, 90), (56, 60)])
def test_resize_equals_mmcvs(size, short_side):
    image = colours(*size)
    expected = Resize(scale=(2048, short_side), keep_ratio=True)({"img": image.copy()})
    found = resize_short_side(image, short_side)
    assert np.array_equal(found, expected["img"])
    assert min(found.shape[:2]) == short_side


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [
        ((500, 333), 336, (505, 336)),
        ((500, 333), 448, (673, 448)),
        ((240, 320), 300, (300, 400)),
        ((100, 1000), 336, (205, 2048)),
        ((1000, 100), 336, (2048, 205)),
    ],
)
def test_sizes_by_hand(size, short_side, expected):
    """The long side stops at 2048."""
    assert resize_short_side(colours(*size), short_side).shape[:2] == expected


def test_very_long_image_is_named():
    with pytest.raises(ValueError, match=r"The image a\.png of 1x5000 pixels .* is too elongated"):
        resize_short_side(colours(1, 5000), 336, "a.png")


def test_longest_image_that_still_has_a_short_side():
    assert resize_short_side(colours(1, 4096), 336).shape[:2] == (1, 2048)


@pytest.mark.parametrize(
    ("short_side", "square", "message"),
    [
        (0, False, "model.short_side must be a positive number of pixels, or None, but got 0"),
        (-5, False, "but got -5"),
        (336.0, False, r"but got 336\.0"),
        ("336", False, "but got '336'"),
        (True, False, "but got True"),
        (None, True, "model.centre_square=True needs a size"),
        (336, "yes", "model.centre_square must be True or False, but got 'yes'"),
    ],
)
def test_sizes_must_be_sizes(short_side, square, message):
    with pytest.raises(ValueError, match=message):
        check_image_size(short_side, square)
    if isinstance(short_side, int | None):
        with pytest.raises(ValueError, match=message.replace("centre_square", "stretch_to_square")):
            check_image_size(short_side, False, square)


def test_an_image_becomes_one_square_only():
    with pytest.raises(ValueError, match=r"model\.centre_square=True and model\.stretch_to_square=True exclude each"):
        check_image_size(336, True, True)


@pytest.mark.parametrize("size", [(40, 60), (61, 37), (33, 33), (24, 95)])
@pytest.mark.parametrize("side", [24, 33, 70])
def test_stretched_square_is_torchvisions(size, side):
    from torchvision.transforms import functional

    image = colours(*size)
    expected = functional.resize(Image.fromarray(image), (side, side), Image.BICUBIC)
    assert np.array_equal(stretch_to_square(image, side), np.asarray(expected))


@pytest.mark.parametrize("size", [(40, 60), (61, 37), (33, 33), (24, 95), (101, 24)])
@pytest.mark.parametrize("side", [24, 33])
def test_centre_square_is_torchvisions(size, side):
    from torchvision.transforms import functional

    image = colours(*size)
    labels = np.arange(size[0] * size[1]).reshape(size)
    picture = functional.center_crop(functional.resize(Image.fromarray(image), side, Image.BICUBIC), side)
    assert np.array_equal(cut_centre_square(image, side), np.asarray(picture))
    nearest = functional.resize(Image.fromarray(labels.astype(np.int32)), side, Image.NEAREST)
    found = cut_centre_square_labels(labels, side)
    assert np.array_equal(found, np.asarray(functional.center_crop(nearest, side)))
    assert found.dtype == np.int64
