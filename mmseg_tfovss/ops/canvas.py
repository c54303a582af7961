"""Canvases: maps of C channels (queries, most often) on the pixels of one original image, given out block by block.

Nothing of size C x H x W is made unless somebody asks for it. Blocks are for reading: whoever takes them copies before
writing, and may ask for them as often as they like. So a method hands over a tensor, or a function that makes blocks,
and need not know what is done with them.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.ops.slices import parts, runs_of

Size = tuple[int, int]
Block = tuple[slice, slice, Tensor]
"""Rows, channels, and their values (r, c, W)."""

BLOCK_ELEMENTS = 1 << 19  # values held at a time on a CPU, where they stay in its cache between passes over them
ACROSS_ELEMENTS = 1 << 20  # values of patch rows on pixel columns, likewise
_TIMES_ELSEWHERE = 32  # on a GPU: a few large steps cost less than many small ones, and 64 MiB are not much
HELD_ELEMENTS = 1 << 26  # values of a whole canvas that may be kept, where that saves time: 256 MiB of float32


def elements_for(elements: int, device: torch.device) -> int:
    """How many values a device takes at a time where a CPU takes so many."""
    return elements if device.type == "cpu" else _TIMES_ELSEWHERE * elements


class Canvas(ABC):
    """Maps of C channels on H x W pixels.

    Attributes:
        size: H and W of the original image.
        channels: C.
        device: of the values.
    """

    size: Size
    channels: int
    device: torch.device

    @abstractmethod
    def blocks(self) -> Iterable[Block]:
        """All values once, in blocks of rows and channels, each time it is called."""

    @property
    def may_be_held(self) -> bool:
        """Whether all values are few enough to be kept."""
        return self.channels * self.size[0] * self.size[1] <= HELD_ELEMENTS

    def row_slices(self, elements: int) -> Iterator[slice]:
        """Rows in strips of about ``elements`` values of all channels."""
        height, width = self.size
        yield from parts(height, elements // (self.channels * width))

    def dense(self) -> Tensor:
        """All values, (C, H, W)."""
        whole: Tensor | None = None
        for rows, channels, block in self.blocks():
            if whole is None:
                whole = block.new_empty((self.channels, *self.size))
            whole[channels, rows] = block.transpose(0, 1)
        assert whole is not None
        return whole

    def extremes(self) -> tuple[Tensor, Tensor]:
        """Smallest and largest value of each channel, (C,) each."""
        low = torch.full((self.channels,), torch.inf, device=self.device)
        high = -low
        for _, channels, block in self.blocks():
            low[channels] = torch.minimum(low[channels], block.amin(dim=(0, 2)))
            high[channels] = torch.maximum(high[channels], block.amax(dim=(0, 2)))
        return low, high

    def some(self, channels: slice) -> Tensor:
        """Values (c, H, W) of some channels; all are computed."""
        first, last, _ = channels.indices(self.channels)
        found: Tensor | None = None
        for rows, present, block in self.blocks():
            if found is None:
                found = block.new_empty((max(last - first, 0), *self.size))
            low, high = max(first, present.start), min(last, present.stop)
            if low < high:
                chosen = block[:, low - present.start : high - present.start]
                found[low - first : high - first, rows] = chosen.transpose(0, 1)
        assert found is not None
        return found

    def only(self, chosen: Tensor) -> "Canvas":
        """The maps of some channels (k,), ascending. Here all are computed."""
        numbers = chosen.tolist()

        def make() -> Iterator[Block]:
            for rows, channels, block in self.blocks():
                own = slice(*(bisect_left(numbers, number) for number in (channels.start, channels.stop)))
                if own.start < own.stop:
                    yield rows, own, block[:, chosen[own] - channels.start]

        return ComputedCanvas(self.size, len(numbers), self.device, make)

    def on_grid(self, grid: Size) -> Tensor:
        """Means (C, h, w) of the pixels in each cell of a grid of h x w patches."""
        if self.may_be_held:
            return F.adaptive_avg_pool2d(self.dense()[None], grid)[0]
        down, across = (_pooling_matrix(*axis).to(self.device) for axis in zip(self.size, grid, strict=True))
        means: Tensor | None = None
        for rows, channels, block in self.blocks():
            if means is None:
                means = block.new_zeros((self.channels, *grid))
            columns = (block @ across.T.to(block)).transpose(0, 1)  # (c, r, w)
            means[channels] += down[:, rows].to(block) @ columns  # (c, h, w)
        assert means is not None
        return means


@dataclass(frozen=True)
class PatchCanvas(Canvas):
    """Maps on patches, not yet multiplied out: ``rows @ patches @ columns.T``.

    Attributes:
        patches: (C, a, b), the patch maps of all windows side by side.
        rows: (H, a), from patch rows to pixel rows.
        columns: (W, b), from patch columns to pixel columns.
        even: whether the patches share the image's area evenly: one window, or spliced ones.
    """

    patches: Tensor
    rows: Tensor
    columns: Tensor
    even: bool = False

    @property
    def size(self) -> Size:  # type: ignore[override]
        """Height and width of the original image."""
        return len(self.rows), len(self.columns)

    @property
    def channels(self) -> int:  # type: ignore[override]
        """C."""
        return len(self.patches)

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """Where the values are."""
        return self.patches.device

    @property
    def grid(self) -> Size:
        """Rows and columns of patches."""
        return self.patches.shape[-2], self.patches.shape[-1]

    def dense(self) -> Tensor:
        """All values, (C, H, W)."""
        return self.some(slice(None))

    def some(self, channels: slice) -> Tensor:
        """Values (c, H, W) of some channels, multiplied out."""
        return self.rows @ (self.patches[channels] @ self.columns.T)

    def only(self, chosen: Tensor) -> "PatchCanvas":
        """The maps of some channels (k,), ascending."""
        return replace(self, patches=self.patches[chosen])

    def blocks(self) -> Iterator[Block]:
        """Some channels at a time, all unless they are many, and of these some rows at a time."""
        (height, width), patch_rows = self.size, self.grid[0]
        for channels in parts(self.channels, elements_for(ACROSS_ELEMENTS, self.device) // (patch_rows * width)):
            count = channels.stop - channels.start
            # (a, c * W): every strip of rows is then one matrix product.
            across = (self.patches[channels] @ self.columns.T).transpose(0, 1).reshape(patch_rows, -1)
            for rows in parts(height, elements_for(BLOCK_ELEMENTS, self.device) // (count * width)):
                yield rows, channels, _product(self.rows[rows], across).view(-1, count, width)

    def on_grid(self, grid: Size) -> Tensor:
        """The patches themselves where they lie on this grid; otherwise means of pixels."""
        return self.patches if self.even and self.grid == tuple(grid) else super().on_grid(grid)


class PixelCanvas(Canvas):
    """Maps that are there already: a tensor (C, H, W) at the original size."""

    def __init__(self, maps: Tensor) -> None:
        self.maps = maps
        self.size, self.channels, self.device = (maps.shape[1], maps.shape[2]), len(maps), maps.device

    def dense(self) -> Tensor:
        """The tensor."""
        return self.maps

    def blocks(self) -> Iterator[Block]:
        """All channels, some rows at a time."""
        for rows in self.row_slices(elements_for(BLOCK_ELEMENTS, self.device)):
            yield rows, slice(0, self.channels), self.maps[:, rows].transpose(0, 1)


@dataclass(frozen=True)
class ComputedCanvas(Canvas):
    """Maps that are computed whenever they are asked for, block by block.

    Attributes:
        size: H and W of the original image.
        channels: C.
        device: of the values.
        make: gives the blocks, all values once, whenever it is called.
    """

    size: Size
    channels: int
    device: torch.device
    make: Callable[[], Iterable[Block]] = field(repr=False)

    def blocks(self) -> Iterator[Block]:
        """What ``make`` gives.

        Raises:
            ValueError: that is not every value once; most often the same iterator was given twice.
        """
        values = 0
        for block in self.make():
            values += block[2].numel()
            yield block
        expected = self.channels * self.size[0] * self.size[1]
        if values != expected:
            raise ValueError(
                f"A refined canvas gave {values} values in place of {self.channels} x {self.size[0]} x {self.size[1]} ="
                f" {expected}: its function must give every value once, and begin anew whenever it is called."
            )


@dataclass(frozen=True)
class ChannelCanvas(Canvas):
    """Maps that are computed whenever they are asked for, each without the others.

    Attributes:
        size: H and W of the original image.
        channels: C.
        device: of the values.
        compute: gives the values (c, H, W) of some channels.
        at_once: channels that are computed together, >= 1.
    """

    size: Size
    channels: int
    device: torch.device
    compute: Callable[[slice], Tensor] = field(repr=False)
    at_once: int = 1

    def some(self, channels: slice) -> Tensor:
        """What ``compute`` gives."""
        return self.compute(channels)

    def only(self, chosen: Tensor) -> Canvas:
        """The maps of some channels (k,), ascending; no others are computed."""
        numbers = chosen.tolist()

        def make() -> Iterator[Block]:
            for places in parts(len(numbers), self.at_once):
                found = torch.cat([self.compute(run) for run in runs_of(numbers[places])])
                yield slice(0, self.size[0]), places, found.transpose(0, 1)

        return ComputedCanvas(self.size, len(numbers), self.device, make)

    def blocks(self) -> Iterator[Block]:
        """All rows, some channels at a time."""
        for channels in parts(self.channels, self.at_once):
            yield slice(0, self.size[0]), channels, self.compute(channels).transpose(0, 1)


def _pooling_matrix(pixels: int, cells: int) -> Tensor:
    """(cells, pixels) weights of adaptive average pooling along one axis, float64."""
    return F.adaptive_avg_pool1d(torch.eye(pixels, dtype=torch.float64), cells).T


def _product(left: Tensor, right: Tensor) -> Tensor:
    """``left @ right`` where most columns of ``left`` are 0: few rows of patches reach a strip of pixels."""
    if left.device.type != "cpu":  # it would have to say which
        return left @ right
    used = left.any(dim=0).nonzero()[:, 0]
    return left[:, used] @ right[used]
