"""The prior from patches' labels, against loops over pairs of patches and hand-made grids."""

import math
from fractions import Fraction

import pytest
import torch

from mmseg_tfovss.ops.feedback import connected, label_affinity

GRIDS = [(1, 1), (1, 4), (3, 5), (4, 4), (5, 3), (6, 2)]


def random_labels(batch, grid, classes=3, seed=0):
    return torch.randint(classes, (batch, *grid), generator=torch.Generator().manual_seed(seed))


def places_of(grid):
    return [divmod(number, grid[1]) for number in range(grid[0] * grid[1])]


def distance(one, two):
    return max(abs(one[0] - two[0]), abs(one[1] - two[1]))


def connected_by_hand(labels, first_part_only):
    """Of one grid; places are exact fractions, rounded half to even."""
    grid = tuple(labels.shape)
    steps = max(grid) - 1
    found = torch.ones(labels.numel(), labels.numel(), dtype=torch.bool)
    for i, start in enumerate(places_of(grid)):
        for j, end in enumerate(places_of(grid)):
            for number in range(steps + 1):
                t = Fraction(number, max(steps, 1))
                row, column = (round(start[axis] + t * (end[axis] - start[axis])) for axis in (0, 1))
                looked_at = number <= distance(start, end) or not first_part_only
                if looked_at and labels[row, column] != labels[start]:
                    found[i, j] = False
    return found


def smoothed_by_hand(affinity, axes, sigma):
    """Rows of an (N, N) matrix, whose columns are cells of the axes, with one kernel per axis and zeros beyond."""
    for number, size in enumerate(axes):
        width = min(size, int(6 * sigma + 1))
        reach = (width if width % 2 else width + 1) // 2
        kernel = {offset: math.exp(-(offset**2) / (2 * sigma**2)) for offset in range(-reach, reach + 1)}
        total, maps = sum(kernel.values()), affinity.view(-1, *axes).movedim(1 + number, -1)
        spread = torch.zeros_like(maps)
        for one in range(size):
            for two in range(max(0, one - reach), min(size, one + reach + 1)):
                spread[..., one] += kernel[two - one] / total * maps[..., two]
        affinity = spread.movedim(-1, 1 + number).reshape(len(affinity), -1)
    return affinity / affinity.sum(dim=1, keepdim=True)


def affinity_by_hand(labels, sigma, decay, quirks):
    grid, flat = tuple(labels.shape), labels.flatten()
    affinity = (flat[:, None] == flat).double()
    if decay:
        held = connected_by_hand(labels, quirks)
        for i, start in enumerate(places_of(grid)):
            for j, end in enumerate(places_of(grid)):
                if not held[i, j]:
                    affinity[i, j] *= math.exp(-distance(start, end) / (max(grid) - 1))
    return smoothed_by_hand(affinity, (labels.numel(),) if quirks else grid, sigma)


@pytest.mark.parametrize("first_part_only", [True, False])
@pytest.mark.parametrize("grid", GRIDS)
def test_lines_are_followed_cell_by_cell(grid, first_part_only):
    labels = random_labels(2, grid)
    found = connected(labels, first_part_only=first_part_only)
    for own, expected in zip(found, labels, strict=True):
        assert torch.equal(own, connected_by_hand(expected, first_part_only))


def test_a_wall_parts_what_is_alike():
    """Cells 0 0 1 0 0 0 in a row: s_max is 5."""
    labels = torch.tensor([[[0, 0, 1, 0, 0, 0]]])
    whole = connected(labels)[0]
    assert whole[0].tolist() == [True, True, False, False, False, False]
    assert whole[3].tolist() == [False, False, False, True, True, True]
    first = connected(labels, first_part_only=True)[0]
    # To cell 3 at t = 0, .2, .4, .6: cells 0, 1, 1, 2. To cell 2 at 0, .2, .4: cells 0, 0, 1, never the wall itself.
    assert first[0].tolist() == [True, True, True, False, False, False]


@pytest.mark.parametrize("decay", [True, False])
@pytest.mark.parametrize("quirks", [True, False])
@pytest.mark.parametrize("sigma", [0.4, 5.0])
@pytest.mark.parametrize("grid", GRIDS)
def test_the_affinity_is_the_formula(grid, sigma, quirks, decay):
    labels = random_labels(2, grid)
    found = label_affinity(labels, sigma, decay=decay, first_part_only=quirks, along_raster=quirks)
    for own, one in zip(found, labels, strict=True):
        torch.testing.assert_close(own.double(), affinity_by_hand(one, sigma, decay, quirks), atol=1e-6, rtol=0)


def test_rows_sum_to_one_and_images_do_not_mix():
    labels = random_labels(3, (4, 6))
    together = label_affinity(labels, 2.0)
    assert together.dtype == torch.float32
    torch.testing.assert_close(together.sum(dim=-1), torch.ones(3, 24))
    alone = torch.cat([label_affinity(one[None], 2.0) for one in labels])
    torch.testing.assert_close(together, alone, atol=1e-7, rtol=0)


def test_smoothing_along_the_raster_goes_into_the_next_row():
    """All labels differ: what row 3 (end of the first row of 2x4 patches) gives to the beginning of the second one."""
    labels = torch.arange(8).view(1, 2, 4)
    raster, grid = (label_affinity(labels, 0.5, along_raster=raster)[0] for raster in (True, False))
    assert raster[3, 4] > 0.1
    assert grid[3, 4] < 1e-4
    assert grid[3, 7] > 0.1
    assert raster[3, 7] == 0


def test_names_of_labels_do_not_matter():
    labels = random_labels(1, (4, 5))
    assert torch.equal(label_affinity(labels, 1.0), label_affinity(1000 - 3 * labels, 1.0))
