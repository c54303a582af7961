"""Means over masks in windows against pixels, one after the other."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmseg_tfovss.ops import grounding
from mmseg_tfovss.ops.windows import WindowPlan, interpolation_matrix


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def some_masks(height, width):
    """Three masks that overlap, one that is hidden behind them, and the rest."""
    masks = torch.zeros(5, height, width, dtype=torch.bool)
    masks[0, 2:9, 3:12] = True
    masks[1, 5:14, 8:20] = True
    masks[2, :, -3:] = True
    masks[3, 3:6, 4:8] = True
    masks[4] = ~masks[:4].any(dim=0)
    return masks


def pixel_by_pixel(plan, maps, masks, size, foreground):
    """The definition, with every window's logits on pixels."""
    total = torch.zeros(maps.shape[1], *plan.size)
    count = torch.zeros(plan.size)
    left, right, top, bottom = plan.padding
    corners = [(y, x) for y in plan.tops for x in plan.lefts]
    for window, (y, x) in zip(maps, corners, strict=True):
        padded = (plan.crop[0] + top + bottom, plan.crop[1] + left + right)
        pixels = F.interpolate(window[None], size=padded, mode="bilinear")[0]
        pixels = pixels[:, top : top + plan.crop[0], left : left + plan.crop[1]]
        where = (slice(y, y + plan.crop[0]), slice(x, x + plan.crop[1]))
        grounded = pixels.clone()
        for mask in masks[:, where[0], where[1]].flip(0):
            if mask.any():
                grounded[:, mask] = pixels[:, mask].mean(dim=1, keepdim=True)
        if foreground is not None:
            lowest, rest = grounded.min(), masks[-1][where]
            for query in foreground.nonzero()[:, 0]:
                grounded[query, rest] = lowest
        total[:, where[0], where[1]] += grounded
        count[where] += 1
    return F.interpolate((total / count)[None], size=size, mode="bilinear")[0]


PLANS = [
    WindowPlan.slide((20, 27), (12, 12), (5, 7)),
    WindowPlan.slide((20, 27), (12, 16), (8, 8)),
    WindowPlan.slide((20, 27), (12, 12), (12, 12), pad_to=8),
    WindowPlan.whole((20, 27)),
]


@pytest.mark.parametrize("without", [None, [False, True, True, False]], ids=["", "remove_falsefg"])
@pytest.mark.parametrize("plan", PLANS, ids=["slide", "rectangular", "padded", "whole"])
@pytest.mark.parametrize("size", [(20, 27), (31, 18)], ids=str)
def test_grounding_equals_pixels_one_by_one(plan, size, without):
    foreground = None if without is None else torch.tensor(without)
    maps, masks = draw(plan.count, 4, 3, 4), some_masks(20, 27)
    found = grounding.ground(plan, maps, masks, size, foreground)
    assert (found.channels, found.size) == (4, size)
    expected = pixel_by_pixel(plan, maps, masks, size, foreground)
    torch.testing.assert_close(found.dense(), expected, atol=1e-5, rtol=0)


def test_blocks_give_every_value_once(monkeypatch):
    maps = draw(1, 5, 3, 4)
    canvas = grounding.ground(WindowPlan.whole((20, 27)), maps, some_masks(20, 27), (31, 18))
    whole = canvas.dense()
    monkeypatch.setattr(grounding, "BLOCK_ELEMENTS", 2 * 31 * 18)
    assert len(list(canvas.blocks())) == 3
    assert torch.equal(canvas.dense(), whole)
    assert torch.equal(canvas.extremes()[0], whole.amin(dim=(1, 2)))


def test_means_of_masks():
    """Patches 0 and 4 in a row, on four pixels: 0, 1, 3, 4."""
    patches = torch.tensor([[[0.0, 4.0]]])
    masks = torch.tensor([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]]).bool()[:, None]
    rows, columns = torch.ones(1, 1), interpolation_matrix(2, 4).float()
    found = grounding.mask_means(patches, masks, rows, columns)
    assert found[:, 0].tolist() == [0.5, 3.0, 0.0, 2.0]


def test_the_first_mask_counts():
    masks = torch.tensor([[[0, 1, 0, 0]], [[1, 1, 0, 0]], [[0, 0, 1, 0]]]).bool()
    assert grounding.first_masks(masks).tolist() == [[1, 0, 2, 2]]


def test_no_tensor_of_queries_and_pixels_is_kept():
    plan = WindowPlan.slide((64, 64), (32, 32), (16, 16))
    masks = torch.ones(1, 64, 64, dtype=torch.bool)
    canvas = grounding.ground(plan, draw(plan.count, 50, 4, 4), masks, (64, 64))
    assert canvas.table.numel() + canvas.index.numel() < 50 * 64 * 64 / 20


def test_float32_is_close_to_float64():
    plan, masks = PLANS[0], some_masks(20, 27)
    maps = draw(plan.count, 4, 3, 4)
    exact = grounding.ground(plan, maps.double(), masks, (20, 27)).dense()
    assert exact.dtype == torch.float64
    assert np.abs(exact.numpy() - grounding.ground(plan, maps, masks, (20, 27)).dense().numpy()).max() < 1e-6
