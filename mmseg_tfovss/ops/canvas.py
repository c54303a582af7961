"""Canvases: maps of C channels (queries, most often) on the pixels of one original image, given out block by block.

Nothing of size C x H x W is made unless somebody asks for it. Blocks are for reading: whoever takes them copies before
writing, and may ask for them as often as they like. So a method hands over a tensor, or a function that makes blocks,
and need not know what is done with them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

Size = tuple[int, int]
Block = tuple[slice, slice, Tensor]
"""Rows, channels, and their values (r, c, W)."""

BLOCK_ELEMENTS = 1 << 21  # values held at a time: small enough to stay in the last-level cache between passes over them


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

    def row_slices(self, elements: int) -> Iterator[slice]:
        """Rows in strips of about ``elements`` values of all channels."""
        height, width = self.size
        step = max(1, elements // (self.channels * width))
        for start in range(0, height, step):
            yield slice(start, min(start + step, height))

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
        """Values (c, H, W) of some channels."""
        return self.dense()[channels]

    def on_grid(self, grid: Size) -> Tensor:
        """Means (C, h, w) of the pixels in each cell of a grid of h x w patches."""
        return F.adaptive_avg_pool2d(self.dense()[None], grid)[0]


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

    def strips(self, elements: int) -> Iterator[tuple[slice, Tensor]]:
        """All channels in strips of rows: yields rows and their values (r, C, W), about ``elements`` numbers each."""
        channels, patch_rows, _ = self.patches.shape
        # (a, C * W): every strip is then one matrix product.
        across = (self.patches @ self.columns.T).transpose(0, 1).reshape(patch_rows, -1)
        for rows in self.row_slices(elements):
            yield rows, (self.rows[rows] @ across).view(-1, channels, self.size[1])

    def blocks(self) -> Iterator[Block]:
        """All channels, some rows at a time."""
        channels = slice(0, len(self.patches))
        for rows, strip in self.strips(BLOCK_ELEMENTS):
            yield rows, channels, strip

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
        for rows in self.row_slices(BLOCK_ELEMENTS):
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
