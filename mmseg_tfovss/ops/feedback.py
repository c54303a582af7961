"""A prior on attention from the labels of patches: alike where the label is the same, less so across other labels."""

from functools import lru_cache

import torch
from torch import Tensor

from mmseg_tfovss.ops.tokens import patch_distances

_WIDTHS = 6  # a smoothing kernel reaches about 3 sigma to each side


def label_affinity(
    labels: Tensor, sigma: float, *, decay: bool = True, first_part_only: bool = False, along_raster: bool = False
) -> Tensor:
    """How much patches belong together, from their labels.

    S_ij = [label_i = label_j], times exp(-s_ij / s_max) where the line from i to j leaves the label; then every row is
    smoothed by a Gaussian and scaled to sum 1. s is the Chebyshev distance in patches, s_max the largest on the grid.

    Args:
        labels: (B, h, w) of the patches.
        sigma: of the Gaussian, in patches, > 0.
        decay: weaken pairs that are not connected; otherwise S is that of the labels alone.
        first_part_only: see :func:`connected`.
        along_raster: smooth over the patches in reading order, so that the end of a row of the image is next to the
            beginning of the following one; otherwise over rows and columns.

    Returns:
        (B, hw, hw) float32, >= 0; rows sum to 1.
    """
    grid = (labels.shape[1], labels.shape[2])
    flat = labels.flatten(1)
    affinity = (flat[:, :, None] == flat[:, None]).float()  # (B, N, N)
    if decay:
        _, distances = patch_distances(grid, labels.device)  # (N, N)
        far = torch.exp(-distances / distances.max().clamp_min(1))
        affinity = torch.where(connected(labels, first_part_only=first_part_only), affinity, affinity * far)
    axes = (grid[0] * grid[1],) if along_raster else grid
    smooth = affinity @ _smoothing(axes, sigma, labels.device)
    return smooth / smooth.sum(dim=-1, keepdim=True)  # > 0: every patch has its own label


def connected(labels: Tensor, *, first_part_only: bool = False) -> Tensor:
    """Whether the straight line from one patch to another stays in the first one's label.

    The line is looked at in s_max + 1 places, t = n / s_max, each rounded to a patch (halves to the even one), with
    s_max the largest Chebyshev distance on the grid.

    Args:
        labels: (B, h, w).
        first_part_only: look at n <= s_ij only, the first s_ij / s_max of the line.

    Returns:
        (B, hw, hw) bool, from row to column; memory is that of a few (B, hw, hw) maps of 32 bits.
    """
    batch, height, width = labels.shape
    places = max(height, width) - 1
    # A place's row depends on the rows of both ends only, and its column on the columns: no table of all pairs.
    rows, columns = (_line_cells(size, places, labels.device) for size in (height, width))
    _, distances = patch_distances((height, width), labels.device)
    distances = distances.view(height, width, height, width)
    labels = labels.int()  # half the memory
    own = labels[:, :, :, None, None]
    found = torch.ones(batch, height, width, height, width, dtype=torch.bool, device=labels.device)
    for number in range(1, places + 1):
        there = labels[:, rows[number][:, None, :, None], columns[number][None, :, None, :]]  # (B, h, w, h, w)
        same = there == own
        found &= (same | (distances < number)) if first_part_only else same
    return found.flatten(3).flatten(1, 2)


@lru_cache(maxsize=32)
def _line_cells(size: int, places: int, device: torch.device) -> Tensor:
    """Where the places of a line are along one axis, by its first and last cell: (places + 1, size, size)."""
    share = torch.linspace(0, 1, places + 1)[:, None, None]
    cells = torch.arange(size)
    return (cells[:, None] * (1 - share) + cells * share).round().long().to(device)


@lru_cache(maxsize=4)
def _smoothing(axes: tuple[int, ...], sigma: float, device: torch.device) -> Tensor:
    """The (N, N) matrix of a Gaussian over the cells of the axes, N their product; nothing lies beyond the borders."""
    matrix = torch.ones(1, 1)
    for size in axes:
        reach = min(size, int(_WIDTHS * sigma + 1)) // 2
        offsets = (torch.arange(size)[:, None] - torch.arange(size)).abs()
        weights = torch.exp(-offsets.square() / (2 * sigma**2)).masked_fill(offsets > reach, 0)
        total = torch.exp(-torch.arange(-reach, reach + 1).square() / (2 * sigma**2)).sum()
        matrix = torch.kron(matrix, weights / total)
    return matrix.to(device)
