"""Sliding windows, and the two small matrices that put their patch logits on pixels.

The field upsamples every window's logits to pixels, adds them into a canvas of all queries, divides by the number of
windows over each pixel, and resamples the canvas to the original size. Each of these steps is linear and separable in
rows and columns, and windows stand on a grid. So the whole chain is ``rows @ patches @ columns.T`` per query, where
``patches`` (ny * h, nx * w) holds the patch logits of all windows side by side. Nothing of size queries x pixels is
needed, unless somebody asks for it.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.ops.canvas import PatchCanvas, Size
from mmseg_tfovss.ops.constants import home_of_doubles

UPSAMPLINGS = ("direct", "two_step")


def interpolation_matrix(source: int, target: int, device: torch.device | None = None) -> Tensor:
    """The (target, source) float64 matrix of bilinear resampling along one axis (``align_corners=False``).

    It is made on the device where it is needed (``None``: the CPU), for a copy from the host would make a GPU wait. If
    that device has no float64, it is made on the CPU, and stays there.
    """
    identity = torch.eye(source, dtype=torch.float64, device=home_of_doubles(device))[None]
    return F.interpolate(identity, size=target, mode="linear", align_corners=False)[0].T


def resample(canvas: PatchCanvas, target: Size) -> PatchCanvas:
    """A canvas as it is after bilinear resampling (``align_corners=False``) to another size, not multiplied out."""
    rows, columns = (
        (interpolation_matrix(len(axis), pixels, axis.device).to(axis) @ axis)
        for axis, pixels in zip((canvas.rows, canvas.columns), target, strict=True)
    )
    return PatchCanvas(canvas.patches, rows, columns, canvas.even)


def window_starts(size: int, crop: int, stride: int) -> list[int]:
    """First pixels of MMSeg's sliding windows along one axis; the last one is shifted inwards to be full size.

    Args:
        size: pixels of the image.
        crop: pixels of a window; a smaller image is one window.
        stride: step between windows.
    """
    count = max(size - crop + stride - 1, 0) // stride + 1
    return [max(min(index * stride + crop, size) - crop, 0) for index in range(count)]


@lru_cache(maxsize=256)
def stitching_matrix(
    size: int,
    starts: tuple[int, ...],
    crop: int,
    padding: Size,
    patches: int,
    target: int,
    direct: bool,
    device: torch.device | None = None,
) -> Tensor:
    """Map the patch logits of all windows along one axis to pixels of the original image.

    Args:
        size: pixels of the resized image.
        starts: first pixel of each window.
        crop: pixels of a window.
        padding: pixels added before and after each window for the network, cut off again here.
        patches: patches of a window.
        target: pixels of the original image.
        direct: skip the resized image when one unpadded window covers it: patches -> original size in one step.
        device: where it is; ``None``: on the CPU.

    Returns:
        (target, len(starts) * patches), float32; rows sum to 1.
    """
    if direct and len(starts) == 1 and padding == (0, 0) and crop == size:
        return interpolation_matrix(patches, target, device).float().to(device)
    window = interpolation_matrix(patches, crop + sum(padding), device)[padding[0] : padding[0] + crop]
    canvas = window.new_zeros(size, len(starts) * patches)
    covered = window.new_zeros(size, 1)
    for index, start in enumerate(starts):
        canvas[start : start + crop, index * patches : (index + 1) * patches] += window
        covered[start : start + crop] += 1
    return (interpolation_matrix(size, target, device) @ (canvas / covered)).float().to(device)


class Place(NamedTuple):
    """Where a window lies in its resized image.

    Attributes:
        top: its first row, without padding.
        left: its first column, without padding.
        padding: (left, right, top, bottom) pixels that were added to it.
    """

    top: int = 0
    left: int = 0
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    def cut(self, values: Tensor, size: Size, beyond: float) -> Tensor:
        """What lies there of a map (C, H, W) on the resized image: (C, h, w) for a window of h x w pixels.

        Args:
            values: the map.
            size: h and w, padding included.
            beyond: the value of padded pixels.
        """
        before, after, above, below = self.padding
        rows = slice(self.top, self.top + size[0] - above - below)
        columns = slice(self.left, self.left + size[1] - before - after)
        inside = values[..., rows, columns]
        return F.pad(inside, self.padding, value=beyond) if any(self.padding) else inside


@dataclass(frozen=True)
class WindowPlan:
    """Where the windows of an image of a given size lie.

    Attributes:
        size: height and width of the resized image.
        crop: height and width of a window, without padding.
        tops: first row of each row of windows.
        lefts: first column of each column of windows.
        padding: (left, right, top, bottom) pixels of zeros added to each window.
    """

    size: Size
    crop: Size
    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def count(self) -> int:
        """Number of windows."""
        return len(self.tops) * len(self.lefts)

    @property
    def places(self) -> list[Place]:
        """Where the windows of :meth:`cut` lie."""
        return [Place(top, left, self.padding) for top, left in product(self.tops, self.lefts)]

    @classmethod
    def whole(cls, size: Size) -> "WindowPlan":
        """One window: the image."""
        return cls(size, size, (0,), (0,))

    @classmethod
    def slide(cls, size: Size, crop: Size, stride: Size, pad_to: int | None = None) -> "WindowPlan":
        """MMSeg's windows, each padded symmetrically to a multiple of ``pad_to`` pixels if given."""
        crop = (min(crop[0], size[0]), min(crop[1], size[1]))
        tops, lefts = (tuple(window_starts(size[i], crop[i], stride[i])) for i in (0, 1))
        return cls(size, crop, tops, lefts, _symmetric_padding(crop, pad_to))

    def cut(self, image: Tensor) -> list[Tensor]:
        """The padded windows (3, h, w) of an image (3, H, W), row after row."""
        return [self.cut_at(image, top, left) for top, left in product(self.tops, self.lefts)]

    def cut_at(self, image: Tensor, top: int, left: int) -> Tensor:
        """One padded window of the plan's size whose corner is at (top, left).

        Raises:
            ValueError: the window does not lie in the image.
        """
        bottom, right = top + self.crop[0], left + self.crop[1]
        if min(top, left) < 0 or bottom > self.size[0] or right > self.size[1]:
            raise ValueError(
                f"The window of {self.crop[0]}x{self.crop[1]} pixels at ({top}, {left}) does not lie in the resized"
                f" image of {self.size[0]}x{self.size[1]} pixels."
            )
        window = image[:, top:bottom, left:right]
        return F.pad(window, self.padding) if any(self.padding) else window

    def stitch(self, maps: Tensor, target: Size, *, direct: bool) -> PatchCanvas:
        """Average on pixels: maps (n, C, h, w) of this plan's windows, on an original image of ``target`` pixels."""
        grid = maps.shape[-2:]
        left, right, top, bottom = self.padding
        axes = (
            (self.size[0], self.tops, self.crop[0], (top, bottom), grid[0], target[0], direct),
            (self.size[1], self.lefts, self.crop[1], (left, right), grid[1], target[1], direct),
        )
        rows, columns = (stitching_matrix(*axis, maps.device) for axis in axes)
        side_by_side = maps.unflatten(0, (len(self.tops), len(self.lefts)))
        patches = side_by_side.permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)  # (C, ny h, nx w)
        even = len(maps) == 1 and not any(self.padding) and self.crop == self.size
        return PatchCanvas(patches.float(), rows, columns, even)

    def splice(self, maps: Tensor, target: Size) -> PatchCanvas:
        """Average on patches: maps (n, C, h, w) of this plan's windows on the patches of the resized image.

        Returns:
            A canvas whose patches share the image evenly; from patches to pixels it is interpolated in one step.

        Raises:
            ValueError: windows are padded, or do not begin and end with a patch of the resized image.
        """
        maps = maps.float()
        if len(maps) == 1 and not any(self.padding):
            return self.stitch(maps, target, direct=True)
        patch = (self.crop[0] / maps.shape[-2], self.crop[1] / maps.shape[-1])
        edges = ((*self.tops, self.size[0]), (*self.lefts, self.size[1]))
        whole = all(pixels % patch[axis] == 0 for axis in (0, 1) for pixels in edges[axis])
        if any(self.padding) or not whole:
            raise ValueError(
                f"Maps of windows of {self.crop[0]}x{self.crop[1]} pixels at rows {list(self.tops)} and columns"
                f" {list(self.lefts)} of an image of {self.size[0]}x{self.size[1]} cannot be spliced: sizes and steps"
                f" must be multiples of the patch of {patch[0]:g}x{patch[1]:g} pixels, without padding."
            )
        grid = tuple(int(self.size[axis] / patch[axis]) for axis in (0, 1))
        total = maps.new_zeros((maps.shape[1], *grid))
        count = maps.new_zeros(grid)
        for window, (top, left) in zip(maps, product(self.tops, self.lefts), strict=True):
            first = (int(top / patch[0]), int(left / patch[1]))
            where = (slice(first[0], first[0] + maps.shape[-2]), slice(first[1], first[1] + maps.shape[-1]))
            total[:, where[0], where[1]] += window
            count[where] += 1
        rows, columns = (interpolation_matrix(grid[axis], target[axis], maps.device).to(maps) for axis in (0, 1))
        return PatchCanvas(total / count, rows, columns, even=True)


def _symmetric_padding(crop: Size, pad_to: int | None) -> tuple[int, int, int, int]:
    if not pad_to:
        return (0, 0, 0, 0)
    missing = [-pixels % pad_to for pixels in crop]
    top, left = (pixels // 2 for pixels in missing)
    return (left, missing[1] - left, top, missing[0] - top)
