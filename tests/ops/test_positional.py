"""Positions on other grids: the field's formula with its quirks, and the exact one."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_tfovss.ops.positional import POSITION_MODES, interpolate_positions


def table(side, width=3):
    return torch.randn(1 + side * side, width, generator=torch.Generator().manual_seed(side))


def by_formula(positions, side, **target):
    square = positions[1:].T.reshape(1, -1, side, side)
    resized = F.interpolate(square, **{"mode": "bicubic", "align_corners": False, **target})
    return torch.cat([positions[:1], resized.reshape(positions.shape[1], -1).T])


@pytest.mark.parametrize("grid", [(14, 28), (21, 28), (42, 28), (7, 9), (1, 1), (28, 7), (13, 13)])
def test_field_interpolates_by_scale_factors(grid):
    positions = table(14)
    factors = ((grid[0] + 0.1) / 14, (grid[1] + 0.1) / 14)
    expected = positions if grid[0] * grid[1] == 196 else by_formula(positions, 14, scale_factor=factors)
    found = interpolate_positions(positions, grid)
    assert found.shape == (1 + grid[0] * grid[1], 3)
    torch.testing.assert_close(found, expected, atol=0, rtol=0)


@pytest.mark.parametrize("side", [7, 14, 16, 24])
def test_field_never_loses_a_row(side):
    """The 0.1 guards floor(side * factor) against rounding."""
    positions = table(side, width=1)
    for size in range(1, 60):
        assert len(interpolate_positions(positions, (size, 61))) == 1 + size * 61


def test_field_reuses_the_table_when_only_the_number_of_tokens_agrees():
    positions = table(14)
    assert torch.equal(interpolate_positions(positions, (7, 28)), positions)
    assert torch.equal(interpolate_positions(positions, (14, 14)), positions)
    assert not torch.allclose(interpolate_positions(positions, (7, 28), "exact"), positions)


@pytest.mark.parametrize("grid", [(7, 28), (14, 28), (21, 28), (7, 9)])
def test_exact_interpolates_to_the_size(grid):
    positions = table(14)
    expected = by_formula(positions, 14, size=grid)
    torch.testing.assert_close(interpolate_positions(positions, grid, "exact"), expected, atol=0, rtol=0)
    assert torch.equal(interpolate_positions(positions, (14, 14), "exact"), positions)


@pytest.mark.parametrize("grid", [(7, 28), (21, 28), (7, 9), (5, 5)])
@pytest.mark.parametrize(
    ("mode", "way"),
    [("antialiased", {"mode": "bicubic", "antialias": True}), ("bilinear", {"mode": "bilinear"})],
)
def test_other_filters_interpolate_to_the_size_too(mode, way, grid):
    positions = table(14)
    expected = by_formula(positions, 14, size=grid, **way)
    torch.testing.assert_close(interpolate_positions(positions, grid, mode), expected, atol=0, rtol=0)
    assert torch.equal(interpolate_positions(positions, (14, 14), mode), positions)


def test_an_antialiased_table_is_smoothed_where_it_shrinks_only():
    positions = table(14)
    small, large = (
        [interpolate_positions(positions, grid, mode) for mode in ("exact", "antialiased")]
        for grid in ((7, 7), (28, 28))
    )
    assert small[1][1:].std() < 0.7 * small[0][1:].std()
    assert (large[1] - large[0]).abs().max() < 0.5 * (small[1] - small[0]).abs().max()


@pytest.mark.parametrize("mode", POSITION_MODES)
def test_class_token_is_untouched(mode):
    positions = table(4)
    assert torch.equal(interpolate_positions(positions, (5, 3), mode)[0], positions[0])


def test_field_differs_slightly_from_exact():
    positions = table(14)
    difference = (
        interpolate_positions(positions, (21, 28)) - interpolate_positions(positions, (21, 28), "exact")
    ).abs()
    assert 1e-3 < difference.max() < 0.5
