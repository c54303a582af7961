"""Joint bilateral upsampling: maps on a coarse grid follow the edges of a fine image. Kopf et al., SIGGRAPH 2007.

The value at pixel p::

    out_p = 1/k_p sum over cells q near p of  D_q exp(-|p' - q|^2 / (2 s_d^2)) exp(-|I_p - I_q|^2 / (2 s_r^2))

p' is pixel p in units of cells, I_q the image at the centre of cell q (bilinear: where a cell has an even number of
pixels, its centre lies between them), k_p the sum of the weights. Along each axis q is near p if ``|p' - q|`` is at
most radius + 1/2: no more than ``radius`` cells from the cell that p lies in. A pixel on the border between two cells
lies in both, and sees one cell more. So mirroring or transposing both inputs does the same to the result. All pixels
of a cell look at the same cells, so a cell is one small matrix product: (pixels x neighbours) @ (neighbours x maps).
"""

from collections.abc import Iterator
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.checks import is_number
from mmseg_tfovss.solvers.checks import working_dtype

_ELEMENTS = 1 << 22  # weights and values held at a time


def joint_bilateral_upsample(
    maps: Tensor, guide: Tensor, *, sigma_space: float = 1.0, sigma_range: float = 0.1, radius: int = 2
) -> Tensor:
    """Upsample maps to the size of a guiding image.

    Args:
        maps: (B, C, h, w), finite.
        guide: (B, 3, H, W), RGB in [0, 1] (any number of channels will do).
        sigma_space: s_d above, in cells of the maps, > 0.
        sigma_range: s_r above, in units of the guide, > 0.
        radius: cells looked at beyond the one that a pixel lies in, >= 0; those outside of the grid are left out.

    Returns:
        (B, C, H, W), float32 (float64 for float64).

    Raises:
        ValueError: shapes that do not fit, or a parameter out of range.
    """
    _check(maps, guide, sigma_space, sigma_range, radius)
    upsampled = []
    for one, image in zip(maps, guide, strict=True):
        strips = upsampled_strips(one, image, sigma_space=sigma_space, sigma_range=sigma_range, radius=radius)
        upsampled.append(torch.cat([strip for _, strip in strips]).transpose(0, 1))
    if not upsampled:
        return guide.new_empty((0, maps.shape[1], *guide.shape[-2:]), dtype=working_dtype(maps))
    return torch.stack(upsampled)


def upsampled_strips(
    maps: Tensor, guide: Tensor, *, sigma_space: float, sigma_range: float, radius: int
) -> Iterator[tuple[slice, Tensor]]:
    """The same for one image, in strips of rows, so that nothing of size C x H x W is needed.

    Args:
        maps: (C, h, w).
        guide: (3, H, W).
        sigma_space: as above.
        sigma_range: as above.
        radius: as above.

    Yields:
        Rows and their values (r, C, W), float32 (float64 for float64).
    """
    maps = maps.to(working_dtype(maps))
    guide = guide.to(maps.dtype)
    channels, *grid = maps.shape
    size = (guide.shape[-2], guide.shape[-1])
    tops, lefts = (_axis(grid[axis], size[axis], radius, maps.dtype, maps.device) for axis in (0, 1))
    colours = lefts.at_centres(tops.at_centres(guide, 1), 2)  # (3, h, w)
    reach = (tops.reach, lefts.reach)
    neighbours = sum(tops.reach, 1) * sum(lefts.reach, 1)
    values = _neighbourhood(maps, *reach)  # (h, w, K, C)
    colours = _neighbourhood(colours, *reach).movedim(-1, 0).contiguous()  # (3, h, w, K)
    cells = max(1, _ELEMENTS // (max(neighbours, channels) * grid[1] * tops.pixels.shape[1] * lefts.pixels.shape[1]))
    across = lefts.log_weights(sigma_space)  # (w, v, k)
    for start in range(0, grid[0], cells):
        part = slice(start, min(start + cells, grid[0]))
        pixels = guide[:, tops.pixels[part]][..., lefts.pixels]  # (3, g, u, w, v): g cells of u x v pixels
        pixels = pixels.transpose(2, 3).flatten(3, 4)  # (3, g, w, P) with P = u v
        down = tops.log_weights(sigma_space)[part]  # (g, u, k)
        space = down[:, None, :, None, :, None] + across[None, :, None, :, None, :]  # (g, w, u, v, k, k)
        logs = space.flatten(4, 5).flatten(2, 3)  # (g, w, P, K)
        # Differences before squares: |I_p|^2 - 2 I_p I_q + |I_q|^2, a product, would leave few digits of near colours.
        difference = torch.empty_like(logs)
        for own, other in zip(pixels[..., None], colours[:, part, :, None], strict=True):
            torch.sub(own, other, out=difference)
            logs.addcmul_(difference, difference, value=-1 / (2 * sigma_range**2))
        weights = torch.softmax(logs, dim=-1, out=difference)  # which divides by k_p
        out = (weights @ values[part]).unflatten(2, (tops.pixels.shape[1], lefts.pixels.shape[1]))  # (g, w, u, v, C)
        out = out.permute(0, 2, 4, 1, 3).flatten(3, 4).flatten(0, 1)  # (g u, C, w v)
        rows = tops.rows_of(part)
        yield rows, out[tops.places(part)][..., lefts.places(slice(None))].view(-1, channels, size[1])


class _Axis:
    """Which pixels lie in which cell along one axis, and how far from the cells around.

    Attributes:
        reach: cells looked at before and behind the own one.
        pixels: (cells, width), indices of every cell's pixels; where a cell has fewer, some pixel that is left out
            afterwards.
        squared: (cells, width, k), squared distance from the pixels to the k cells around; inf to those that do not
            count.
    """

    def __init__(self, cells: int, pixels: int, radius: int, dtype: torch.dtype, device: torch.device) -> None:
        # In whole numbers, where a border is a border: p' = ((2 p + 1) cells - pixels) / (2 pixels).
        numerators = (2 * torch.arange(pixels) + 1) * cells - pixels
        nearest = -((pixels - numerators) // (2 * pixels))  # of two, the first one
        on_border = (numerators - pixels) % (2 * pixels) == 0
        cell = nearest.clamp(0, cells - 1)
        self.reach = (radius, radius + int(bool(on_border.any())))
        counts = torch.bincount(cell, minlength=cells)
        starts = counts.cumsum(0) - counts
        width = max(int(counts.max()), 1)
        within = torch.arange(width).expand(cells, width)
        pixel = (starts[:, None] + within).clamp_max(pixels - 1)
        self.pixels = pixel.to(device)
        kept = within < counts[:, None]
        self._kept, self._device = kept, device
        self._places: dict[tuple[int, int], Tensor] = {}
        self.starts, self.counts = starts.tolist(), counts.tolist()
        near = torch.arange(cells)[:, None] + torch.arange(-self.reach[0], self.reach[1] + 1)  # (cells, k)
        distance = numerators[pixel][..., None] - 2 * pixels * near[:, None]  # (cells, width, k), 2 pixels to a cell
        far = (distance.abs() > (2 * radius + 1) * pixels) & kept[..., None]
        outside = ((near < 0) | (near >= cells))[:, None]
        squared = (distance.double() / (2 * pixels)).square()
        self.squared = squared.masked_fill(far | outside, torch.inf).to(device, dtype)
        centres = ((torch.arange(cells, dtype=torch.float64) + 0.5) * pixels / cells - 0.5).clamp(0, pixels - 1)
        self._below = centres.long().to(device)
        self._above = centres.ceil().long().to(device)
        self._part = (centres - centres.floor()).to(device, dtype)

    def at_centres(self, guide: Tensor, axis: int) -> Tensor:
        """The guide at the cells' centres along one of its axes."""
        shape = [1] * guide.ndim
        shape[axis] = -1
        below, above = guide.index_select(axis, self._below), guide.index_select(axis, self._above)
        return torch.lerp(below, above, self._part.view(shape))

    def log_weights(self, sigma: float) -> Tensor:
        """Logarithm of the spatial weights (cells, width, k); -inf outside of the grid."""
        return self.squared / (-2 * sigma**2)

    def places(self, cells: slice) -> Tensor:
        """Where the pixels of some cells are among all their places."""
        start, stop, _ = cells.indices(len(self._kept))
        if (start, stop) not in self._places:
            self._places[start, stop] = self._kept[start:stop].flatten().nonzero().flatten().to(self._device)
        return self._places[start, stop]

    def rows_of(self, cells: slice) -> slice:
        """The pixels of some cells."""
        return slice(self.starts[cells.start], self.starts[cells.stop - 1] + self.counts[cells.stop - 1])


@lru_cache(maxsize=32)
def _axis(cells: int, pixels: int, radius: int, dtype: torch.dtype, device: torch.device) -> _Axis:
    """Made on the CPU, from sizes alone, and brought to a device once."""
    return _Axis(cells, pixels, radius, dtype, device)


def _neighbourhood(maps: Tensor, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    """The cells around every cell: (C, h, w) -> (h, w, K, C), zeros outside of the grid."""
    padded = F.pad(maps, (*columns, *rows))
    patches = padded.unfold(1, sum(rows) + 1, 1).unfold(2, sum(columns) + 1, 1)  # (C, h, w, k, k)
    return patches.flatten(3).permute(1, 2, 3, 0).contiguous()


def _check(maps: Tensor, guide: Tensor, sigma_space: float, sigma_range: float, radius: int) -> None:
    if maps.ndim != 4 or guide.ndim != 4 or len(maps) != len(guide) or 0 in (*maps.shape[1:], *guide.shape[1:]):
        raise ValueError(
            f"maps (B, C, h, w) and guide (B, 3, H, W) must agree in B, but got {tuple(maps.shape)} and"
            f" {tuple(guide.shape)}."
        )
    check_jbu(sigma_space, sigma_range, radius)


def check_jbu(sigma_space: float, sigma_range: float, radius: int) -> None:
    """Raise ValueError unless both widths are positive and the radius is a number of cells."""
    positive = all(is_number(sigma) and sigma > 0 for sigma in (sigma_space, sigma_range))
    if not positive or not is_number(radius, whole=True) or radius < 0:
        raise ValueError(
            "sigma_space and sigma_range must be positive and radius an integer, at least 0, but got"
            f" {sigma_space!r}, {sigma_range!r} and {radius!r}."
        )
