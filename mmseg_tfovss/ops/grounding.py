"""One set of logits for every mask of an image, in every window by itself (LaVG, arXiv:2408.04961).

For a window with patch logits L (Q, h, w), upsampled to its pixels as l(x), and the part of a mask M in the window:

    l_M = mean of l(x) over x in M;     every x takes l_M of the first mask that it lies in

Upsampling is linear, so its adjoint brings masks to patches instead: l_M = sum over p of w_M(p) L(p), where the weights
w_M sum to 1. All pixels of a mask that the same windows see share their mean over these windows. So a table of queries
x (masks x tiles), and which of its columns a pixel has, say it all.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.ops.canvas import BLOCK_ELEMENTS, Block, Canvas, Size, elements_for
from mmseg_tfovss.ops.counting import count_ids
from mmseg_tfovss.ops.slices import parts
from mmseg_tfovss.ops.windows import WindowPlan, interpolation_matrix


def first_masks(masks: Tensor) -> Tensor:
    """Number (H, W) of the first of the masks (M, H, W) that each pixel lies in; M - 1 where it lies in none."""
    first = torch.full(masks.shape[1:], len(masks) - 1, dtype=torch.int64, device=masks.device)
    for number in range(len(masks) - 1, -1, -1):
        first.masked_fill_(masks[number], number)
    return first


def mask_means(patches: Tensor, masks: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Means over masks of maps that are upsampled to pixels, ``rows @ patches @ columns.T``, without upsampling them.

    Args:
        patches: (C, h, w).
        masks: (M, H, W), bool.
        rows: (H, h), from patch rows to pixel rows.
        columns: (W, w).

    Returns:
        (M, C); 0 for a mask without pixels.
    """
    inside = masks.to(patches.dtype)
    shares = rows.T @ inside @ columns / inside.sum(dim=(1, 2)).clamp_min(1)[:, None, None]  # (M, h, w)
    return shares.flatten(1) @ patches.flatten(1).T


class LookupCanvas(Canvas):
    """Maps with few different values, on pixels that are then resampled (bilinear) to the original image.

    Args:
        table: (C, K) values.
        index: (H', W'), which of the K a pixel has.
        size: H and W.
    """

    def __init__(self, table: Tensor, index: Tensor, size: Size) -> None:
        self.table, self.index = table, index
        self.size, self.channels, self.device = size, len(table), table.device

    def some(self, channels: slice) -> Tensor:
        """Values (c, H, W) of some channels."""
        values = self.table[channels][:, self.index]  # (c, H', W')
        if values.shape[1:] == self.size:
            return values
        return F.interpolate(values[None], size=self.size, mode="bilinear", align_corners=False)[0]

    def blocks(self) -> Iterator[Block]:
        """All rows, some channels at a time."""
        largest = max(self.index.numel(), self.size[0] * self.size[1])
        for channels in parts(self.channels, elements_for(BLOCK_ELEMENTS, self.device) // largest):
            yield slice(0, self.size[0]), channels, self.some(channels).transpose(0, 1)


def ground(plan: WindowPlan, maps: Tensor, masks: Tensor, size: Size, foreground: Tensor | None = None) -> LookupCanvas:
    """Give every mask the mean of its pixels' logits in each window, and average windows on pixels.

    Args:
        plan: windows of the pixels that the masks have.
        maps: logits (n, Q, h, w) of the plan's windows.
        masks: (M, H', W'), bool, which together cover every pixel; where they overlap, the first one counts.
        size: H and W of the original image.
        foreground: which of the Q queries, bool, the last mask cannot have: there they take the smallest logit that
            their window has left.
    """
    rows, columns = (_from_patches(plan, axis, maps.shape[2 + axis], maps.device).to(maps) for axis in (0, 1))
    first, means = first_masks(masks), []
    for window, (top, left) in zip(maps, product(plan.tops, plan.lefts), strict=True):
        where = (slice(top, top + plan.crop[0]), slice(left, left + plan.crop[1]))
        found = mask_means(window, masks[:, where[0], where[1]], rows, columns)  # (M, Q)
        if foreground is not None:
            present = count_ids(first[where], len(masks)) > 0
            least = found.masked_fill(~present[:, None], torch.inf).min()
            found[-1] = torch.where(foreground, least, found[-1])
        means.append(found)
    return _on_tiles(plan, torch.stack(means), first, size)


def _from_patches(plan: WindowPlan, axis: int, patches: int, device: torch.device) -> Tensor:
    """(pixels, patches) of upsampling a window along an axis, float64."""
    before, after = (plan.padding[2:], plan.padding[:2])[axis]
    matrix = interpolation_matrix(patches, plan.crop[axis] + before + after, device)
    return matrix[before : before + plan.crop[axis]]


def _on_tiles(plan: WindowPlan, means: Tensor, first: Tensor, size: Size) -> LookupCanvas:
    """Average over windows what masks have in them, (n, M, Q), tile by tile: a tile's pixels share their windows."""
    starts = zip((plan.tops, plan.lefts), plan.crop, strict=True)
    axes = [_tiles(tuple(begins), crop, means.dtype, means.device) for begins, crop in starts]
    row_shares, column_shares = (shares for shares, _ in axes)
    by_place = means.unflatten(0, (len(plan.tops), len(plan.lefts)))  # (ny, nx, M, Q)
    table = torch.einsum("ia,jb,abmq->qijm", row_shares, column_shares, by_place)  # (Q, tiles down, tiles across, M)
    row_tile, column_tile = (tile for _, tile in axes)
    tile = row_tile[:, None] * table.shape[2] + column_tile
    return LookupCanvas(table.flatten(1), tile * table.shape[3] + first, size)


@lru_cache(maxsize=64)
def _tiles(starts: tuple[int, ...], crop: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Along one axis: each window's share (tiles, windows) in the mean on a tile, and the tile of every pixel."""
    edges = torch.tensor(sorted({*starts, *(start + crop for start in starts)}))
    sees = torch.stack([(edges[:-1] >= start) & (edges[:-1] < start + crop) for start in starts], dim=1).double()
    pixels = torch.arange(int(edges[-1]))
    shares, tiles = sees / sees.sum(dim=1, keepdim=True), torch.searchsorted(edges[1:], pixels, right=True)
    return shares.to(device, dtype), tiles.to(device)
