"""Regions from clusters of patches, and one class for each region (CLIPtrase, ECCV 2024, arXiv:2407.08268)."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.checks import is_number
from mmseg_tfovss.ops.canvas import BLOCK_ELEMENTS, Block, Canvas, PatchCanvas, Size, elements_for

NOISE = -1
_ELEMENTS = 1 << 22  # numbers held at a time


def check_dbscan(eps: float, min_samples: int) -> None:
    """Raise ValueError unless these are DBSCAN's options ``model.eps`` and ``model.min_samples``."""
    numbers = is_number(eps) and is_number(min_samples, whole=True)
    if not numbers or not eps > 0 or min_samples < 1:
        raise ValueError(
            "model.eps must be a positive number and model.min_samples an integer, at least 1, but got"
            f" {eps!r} and {min_samples!r}."
        )


def cluster_rows(rows: Tensor, chosen: Tensor, eps: float, min_samples: int) -> Tensor:
    """DBSCAN of vectors under the Euclidean distance, on the CPU.

    Args:
        rows: (N, D).
        chosen: (N,) bool; the others are noise.
        eps: radius of a neighbourhood, > 0.
        min_samples: vectors, itself included, that make the centre of a neighbourhood a core point, >= 1.

    Returns:
        (N,) cluster ids 0 .. K - 1, and -1 for noise; on the rows' device.
    """
    from sklearn.cluster import DBSCAN  # its import takes most of a second, which other methods need not

    chosen = chosen.cpu()  # to pick rows on a GPU, it would have to say how many there are
    found = torch.full_like(chosen, NOISE, dtype=torch.int64)
    if bool(chosen.any()):
        vectors = rows.float().cpu()[chosen].numpy()
        ids = DBSCAN(eps=eps, min_samples=min_samples).fit_predict(vectors)
        found[chosen] = torch.from_numpy(ids).to(found)
    return found.to(rows.device)


def prototypes(rows: Tensor, clusters: Tensor) -> Tensor:
    """Mean of the rows (N, D) of each cluster: (K, D). Noise belongs to none (Eq. 5)."""
    count = int(clusters.max()) + 1 if clusters.numel() else 0
    members = (clusters[None] == torch.arange(count, device=clusters.device)[:, None]).to(rows.dtype)  # (K, N)
    return members @ rows / members.sum(dim=1, keepdim=True)


def median_filter(maps: Tensor, size: int, where: Tensor) -> Tensor:
    """Medians (M,) in windows of ``size`` x ``size`` (odd) around the chosen pixels, in the order of their indices.

    Args:
        maps: (K, H, W), mirrored at the border (edge pixels twice).
        size: side of a window.
        where: (K, H, W) bool, the M pixels.
    """
    windows = _mirror(maps, size // 2).unfold(1, size, 1).unfold(2, size, 1)[where].flatten(1)  # (M, size * size)
    if windows.device.type != "cpu":
        return windows.median(dim=1).values
    middle = size**2 // 2  # numpy takes a tenth of torch's time for this
    return torch.from_numpy(np.partition(windows.numpy(), middle, axis=1)[:, middle])


def winning_medians(maps: Tensor, size: int) -> Tensor:
    """A median filter of maps (K, H, W) that is exact wherever it has a say in which map is highest.

    Bounds of the medians come cheap. Where a map's upper bounds, here and at all neighbours, are below the lower bounds
    of another, the former is not the highest here, nor at any point that is interpolated from this pixel; and where
    that leaves a single map, it is the highest whatever its value. There the least of its lower bounds stands in.

    Args:
        maps: (K, H, W), mirrored at the border (edge pixels twice).
        size: side of the filter's window, odd.

    Returns:
        (K, H, W): medians, or lower bounds of them that make no difference to an argmax over maps, nor to one after
        bilinear interpolation.
    """
    at_once = max(1, _ELEMENTS // (maps[0].numel() * size**2))  # bounds the memory of the windows
    parts = maps.split(at_once)
    low, high = (torch.cat(bounds) for bounds in zip(*(_median_bounds(part, size) for part in parts), strict=True))
    undecided = high >= low.amax(dim=0)
    undecided &= undecided.sum(dim=0) > 1
    chosen = undecided.split(at_once)
    low[undecided] = torch.cat([median_filter(part, size, where) for part, where in zip(parts, chosen, strict=True)])
    return low


def _median_bounds(maps: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Least lower and greatest upper bound (K, H, W) of the medians at a pixel and its eight neighbours.

    The minimum of any 4 adjacent rows of 7 is a lower bound, for these are more than half of the values; so are those
    of 4 columns, and the greatest of them all. Upper bounds likewise.
    """
    half, padded = (size + 1) // 2, _mirror(maps, size // 2)
    bounds = []
    for inner, outer in ((torch.minimum, torch.maximum), (torch.maximum, torch.minimum)):
        by_rows = _slide(_slide(padded, (half, size), inner), (half, 1), outer)
        by_columns = _slide(_slide(padded, (size, half), inner), (1, half), outer)
        bounds.append(_slide(_mirror(outer(by_rows, by_columns), 1), (3, 3), inner))
    return bounds[0], bounds[1]


def _slide(maps: Tensor, size: Size, extreme: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Extremes in all windows of a size inside of maps (K, H, W), by doubling: (K, H - h + 1, W - w + 1)."""
    for dim, length in enumerate(size, start=1):
        width = 1
        while width < length:
            step = min(width, length - width)
            rest = maps.shape[dim] - step
            maps = extreme(maps.narrow(dim, 0, rest), maps.narrow(dim, step, rest))
            width += step
    return maps


def _mirror(maps: Tensor, margin: int) -> Tensor:
    """Continue maps (K, H, W) on all sides by their mirror image, edge pixels twice, as often as it takes."""
    for dim in (1, 2):
        length = maps.shape[dim]
        index = torch.arange(-margin, length + margin, device=maps.device) % (2 * length)
        maps = maps.index_select(dim, torch.minimum(index, 2 * length - 1 - index))
    return maps


def region_map(maps: Tensor, size: Size, ratio: int, median: int) -> Tensor:
    """Region ids (H, W) of an image: at each pixel, the prototype map (K, h, w) that is highest there once smoothed.

    Args:
        maps: prototype maps on the patch grid.
        size: H and W of the image.
        ratio: bilinear upsampling before the median filter; from there to ``size`` bilinear too.
        median: side of the median filter.
    """
    larger = F.interpolate(maps[None], scale_factor=ratio, mode="bilinear", align_corners=False)[0]
    smoothed = winning_medians(larger, median)
    best = maps.new_full(size, -torch.inf)
    regions = torch.zeros(size, dtype=torch.int64, device=maps.device)
    at_once = max(1, _ELEMENTS // (size[0] * size[1]))
    for first in range(0, len(maps), at_once):
        part = smoothed[None, first : first + at_once]
        top, index = F.interpolate(part, size=size, mode="bilinear", align_corners=False)[0].max(dim=0)
        regions = torch.where(top > best, first + index, regions)
        best = torch.maximum(best, top)
    return regions


def region_logits(logits: PatchCanvas, regions: Tensor) -> Tensor:
    """Mean logits (Q, K) of each of K regions (H, W) of an image, without a tensor of queries x pixels.

    Args:
        logits: of Q queries on H x W pixels.
        regions: (H, W) region ids, the largest K - 1; means are 0 where a region has no pixel.
    """
    ids = torch.arange(int(regions.max()) + 1, device=regions.device)
    shares = []
    for some in ids.split(max(1, _ELEMENTS // regions.numel())):
        members = (regions == some[:, None, None]).float()  # (k, H, W)
        sizes = members.sum(dim=(1, 2)).clamp_min(1)[:, None, None]
        shares.append(logits.rows.T @ members @ logits.columns / sizes)  # (k, a, b)
    return logits.patches.flatten(1) @ torch.cat(shares).flatten(1).T


class RegionCanvas(Canvas):
    """Logits that are the same for all pixels of a region: the means of what they were.

    Args:
        logits: of Q queries on H x W pixels.
        regions: (H, W) region ids from 0 on.
    """

    def __init__(self, logits: PatchCanvas, regions: Tensor) -> None:
        self.size, self.channels, self.device = logits.size, logits.channels, logits.device
        self.means, self.regions = region_logits(logits, regions), regions  # (Q, K), (H, W)

    def blocks(self) -> Iterator[Block]:
        """All queries, some rows at a time."""
        for rows in self.row_slices(elements_for(BLOCK_ELEMENTS, self.device)):
            yield rows, slice(0, self.channels), self.means.T[self.regions[rows]].transpose(1, 2)


def share_logits(logits: Tensor, rows: Tensor, clusters: Tensor) -> Tensor:
    """Give every patch the mean logits of the patches whose row is highest in the same prototype.

    Args:
        logits: (Q, h, w).
        rows: (N, N) of the N = h w patches, from which the prototypes come.
        clusters: (N,) cluster ids, -1 for noise.

    Returns:
        (Q, h, w); the logits themselves when all is noise.
    """
    if int(clusters.max()) == NOISE:
        return logits
    winners = prototypes(rows, clusters).argmax(dim=0)  # (N,)
    _, regions = torch.unique(winners, return_inverse=True)  # a prototype may win nowhere
    return prototypes(logits.flatten(1).T, regions)[regions].T.reshape(logits.shape)
