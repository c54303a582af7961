"""Masks as they are in the user's files, and the class numbers that they mean."""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmseg_tfovss.datasets.files import check_pair, load_colours, load_image, load_labels
from mmseg_tfovss.own_data.table import ClassTable

_FOREIGN, _IGNORED = -1, -2
_LABELS, _COLOURS = 1 << 16, 1 << 24
_UPRIGHT = 1


class Mask(NamedTuple):
    """A mask that was read.

    Attributes:
        labels: (H, W) int32 class numbers; ``void`` of the table where ignored.
        pixels: (C,) int64, of each class.
        ignored: pixels that do not count.
        foreign: pixels of each value that is neither a class nor ignored.
    """

    labels: np.ndarray
    pixels: np.ndarray
    ignored: int
    foreign: dict[int, int]


class Reader:
    """Reads pairs of files by a class table; threads may share it.

    Args:
        table: what the masks' values mean.
        anew: the masks will be written anew.
    """

    def __init__(self, table: ClassTable, *, anew: bool) -> None:
        self._table, self._anew = table, anew
        numbers = np.full(_COLOURS if table.coloured else _LABELS, _FOREIGN, np.int32)
        numbers[[*table.ignored]] = _IGNORED
        numbers[[*table.values]] = np.arange(len(table.values))
        self._numbers = numbers

    def read(self, image: Path, mask: Path) -> Mask:
        """Read an image and its mask completely.

        Raises:
            FileNotFoundError: a file does not exist.
            ValueError: a file that cannot be used, or two that do not fit each other.
        """
        values, turned = self._values(mask)
        pixels, orientation = load_image(image)
        check_pair(image, pixels.shape, orientation, mask, (values, turned))
        if self._anew and turned != _UPRIGHT:
            raise ValueError(f"The mask {mask} is to be turned (EXIF orientation {turned}): save it upright.")
        return self._mask(values)

    def _values(self, mask: Path) -> tuple[np.ndarray, int]:
        if not self._table.coloured:
            return single_channel(mask) if self._anew else load_labels(mask)
        colours, turned = load_colours(mask)
        red, green, blue = np.moveaxis(colours.astype(np.int32), -1, 0)
        return red << 16 | green << 8 | blue, turned

    def _mask(self, values: np.ndarray) -> Mask:
        known = values < len(self._numbers)
        labels = np.where(known, self._numbers[np.where(known, values, 0)], _FOREIGN)
        count = len(self._table.names)
        pixels = np.bincount((labels - _IGNORED).ravel(), minlength=count - _IGNORED)
        foreign = {}
        if pixels[_FOREIGN - _IGNORED]:
            found, counts = np.unique(values[labels == _FOREIGN], return_counts=True)
            foreign = dict(zip(found.tolist(), counts.tolist(), strict=True))
        labels[labels == _IGNORED] = self._table.void
        return Mask(labels, pixels[-_IGNORED:], int(pixels[0]), foreign)


def single_channel(mask: Path) -> tuple[np.ndarray, int]:
    """The labels of a mask, also if it was saved with three equal channels.

    Returns:
        (H, W) integers, and the EXIF orientation that has been applied.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no mask of labels.
    """
    try:
        return load_labels(mask)
    except ValueError:
        colours, turned = load_colours(mask)
        if (colours != colours[..., :1]).any():
            raise ValueError(
                f"The mask {mask} holds colours, but the class file gives none: give a table with the columns"
                " name,r,g,b."
            ) from None
        return colours[..., 0].astype(np.int64), turned


def has_three_channels(mask: Path) -> bool:
    """Whether a mask of labels was saved as a picture of three equal channels; a damaged file has none.

    Raises:
        ValueError: it holds colours.
    """
    with suppress(ValueError):
        load_labels(mask)
        return False
    try:
        load_colours(mask)
    except ValueError:
        return False
    single_channel(mask)
    return True
