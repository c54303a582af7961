"""Masks of objects that are there, one after the other, and what is done with them on pixels."""

import numpy as np
import pytest
import scipy.ndimage
import torch

from mmseg_tfovss.ops import panoptic_cut
from mmseg_tfovss.ops.panoptic_cut import CutSettings, cut_patches, resize_masks, sharpen, with_rest

GRID = (10, 12)


def things():
    """Three rectangles on a ground, (h, w): 0 is the ground."""
    picture = np.zeros(GRID, dtype=int)
    picture[1:4, 1:6] = 1
    picture[5:9, 2:5] = 2
    picture[3:9, 7:11] = 3
    return picture


def keys_of(picture, noise=0.2, seed=0):
    """Features (N, D) whose cosine is near 1 within a thing, and near 0 or below between them."""
    draw = torch.Generator().manual_seed(seed)
    own = torch.linalg.qr(torch.randn(16, 16, generator=draw))[0][: picture.max() + 1]
    flat = torch.from_numpy(picture).flatten()
    return own[flat] + noise * torch.randn(len(flat), 16, generator=draw) / 4


def test_things_are_cut_out():
    """Every thing is one of the masks, without a patch too many or too few."""
    picture = things()
    masks = cut_patches(keys_of(picture), GRID, 0.3, 8)
    assert masks.sum(axis=0).max() == 1
    found = {mask.tobytes() for mask in masks}
    assert {(picture == number).tobytes() for number in (1, 2, 3)} <= found


def test_at_most_as_many_masks_as_wanted_in_the_same_order():
    keys = keys_of(things(), noise=1.5)
    many = cut_patches(keys, GRID, 0.3, 8)
    few = cut_patches(keys, GRID, 0.3, 2)
    assert len(many) == 8
    assert np.array_equal(few, many[:2])


def test_masks_are_connected_and_disjoint():
    masks = cut_patches(keys_of(things(), noise=2.5), GRID, 0.3, 8)
    assert masks.any(axis=(1, 2)).all()
    assert masks.sum(axis=0).max() == 1
    assert [scipy.ndimage.label(mask)[1] for mask in masks] == [1] * len(masks)


def test_the_side_of_three_corners_is_no_object():
    """Whichever side has the largest entry: a large ground, or one of few patches."""
    for thing in (np.s_[3:7, 3:8], np.s_[1:9, 1:11], np.s_[0:6, 0:7]):
        picture = np.zeros(GRID, dtype=int)
        picture[thing] = 1
        [mask] = cut_patches(keys_of(picture), GRID, 0.3, 1)
        assert np.array_equal(mask, picture == 1)


def test_what_is_left_of_few_patches_is_not_cut():
    picture = np.zeros((2, 5), dtype=int)
    picture[:, 2:] = 1
    masks = cut_patches(keys_of(picture), (2, 5), 0.3, 8)
    assert len(masks) == 1
    assert cut_patches(keys_of(np.zeros((1, 5), dtype=int)), (1, 5), 0.3, 8).shape == (0, 1, 5)


def test_nothing_is_cut_from_patches_that_are_all_alike():
    assert cut_patches(torch.ones(120, 16), GRID, 0.3, 8).shape == (0, *GRID)
    assert sharpen(np.zeros((0, *GRID), dtype=bool), np.zeros((40, 48, 3), dtype=np.uint8), 10).shape == (0, 40, 48)
    assert resize_masks(np.zeros((0, 40, 48), dtype=bool), (20, 30)).shape == (0, 20, 30)


def test_patches_that_are_all_different_are_cut():
    masks = cut_patches(torch.eye(120), GRID, 0.3, 8)
    assert len(masks) <= 8
    assert masks.sum(axis=0).max() == 1


def picture_of(mask, side=4):
    """An image whose colours tell a mask of patches from the rest."""
    large = np.kron(mask, np.ones((side, side))) > 0
    return np.where(large[..., None], [200, 40, 40], [30, 90, 160]).astype(np.uint8), large


def test_masks_on_pixels_follow_the_image():
    mask = things() == 3
    image, large = picture_of(mask)
    shifted = np.roll(mask, 1, axis=0)
    [found] = sharpen(shifted[None], image, 10)
    assert (found == large).mean() > 0.97
    [coarse] = sharpen(shifted[None], image, 0)
    assert np.array_equal(coarse, np.kron(shifted, np.ones((4, 4))) > 0)


def test_holes_are_filled_and_masks_of_another_shape_dropped(monkeypatch):
    image, large = picture_of(things() == 3)
    holed = large.copy()
    holed[20:24, 36:40] = False
    small = np.zeros_like(large)
    small[14:18, 30:34] = True
    monkeypatch.setattr(panoptic_cut, "refine_masks", lambda *_: np.stack([holed, small, ~large]))
    found = sharpen(np.stack([things() == 3] * 3), image, 10)
    assert np.array_equal(found, large[None])


def test_the_crf_is_that_of_the_official_code(monkeypatch):
    """Kernels, steps, and -log softmax of the mask itself: 1 for the pixel's own side."""
    asked = []
    monkeypatch.setattr(panoptic_cut, "refine_masks", lambda *given: asked.append(given) or given[1] > 0)
    mask = things() == 1
    image, large = picture_of(mask)
    sharpen(mask[None], image, 7)
    [(_, unary, kernels, steps)] = asked
    assert np.array_equal(unary, np.where(large, 1.0, -1.0)[None])
    assert [(one.weight, one.sxy, one.srgb) for one in kernels] == [(7, 3, None), (10, 50, 5)]
    assert steps == 7


def test_masks_are_resized_and_the_rest_comes_last():
    masks = np.zeros((2, 8, 8), dtype=bool)
    masks[0, :4], masks[1, 2:6, :4] = True, True
    found = with_rest(resize_masks(masks, (16, 12)))
    assert found.shape == (3, 16, 12)
    assert found[0, :8].all()
    assert not found[0, 8:].any()
    assert np.array_equal(found[2], ~(found[0] | found[1]))
    assert with_rest(masks[:0]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tau": 1.5}, r"model\.tau must lie in \[-1, 1\], but got 1\.5"),
        ({"tau": "x"}, r"model\.tau must lie in"),
        ({"max_masks": 0}, r"model\.max_masks must be a whole number of at least 1, but got 0"),
        ({"cut_size": 6.4}, r"model\.cut_size must be a whole number of at least 1"),
        ({"crf_steps": -1}, r"model\.crf_steps must be a whole number of at least 0"),
        ({"crf_steps": True}, r"model\.crf_steps must be"),
    ],
)
def test_wrong_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        CutSettings(**options)
