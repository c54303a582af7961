"""Label maps side by side: coloured pictures in columns, with titles above and a legend below."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from mmseg_tfovss.pictures.lettering import draw_text, text_width, warn_of_missing
from mmseg_tfovss.vocabulary.words import cut

_OPACITY = 0.7
MID_GREY = 128
_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_TITLE, _GAP, _SWATCH, _FONT = 22, 6, 12, 13  # pixels


@dataclass(frozen=True)
class Column:
    """A title and one picture per row: (H, W, 3) uint8; ``None`` leaves the place empty."""

    title: str
    cells: Sequence[np.ndarray | None]


def tint(image: np.ndarray, labels: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Blend class colours over an image in greys; pixels without a class (ignored) keep the image's colours.

    A blend with the image's own colours would have hues that no class has.

    Args:
        image: (H, W, 3) uint8, RGB.
        labels: (H, W) class ids; those that have no colour are no classes.
        colours: (C, 3) uint8.

    Returns:
        (H, W, 3) uint8.
    """
    known = (labels >= 0) & (labels < len(colours))
    tinted = _blend((image @ _LUMA)[..., None], colours[np.where(known, labels, 0)])
    return np.where(known[..., None], tinted, image).astype(np.uint8)


def shrink(picture: np.ndarray, longest: int) -> np.ndarray:
    """A picture (H, W, 3) uint8 with its long side brought down to some pixels; smaller ones stay as they are."""
    factor = longest / max(picture.shape[:2])
    if factor >= 1:
        return np.ascontiguousarray(picture)
    height, width = (max(1, round(side * factor)) for side in picture.shape[:2])
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize((width, height), Image.Resampling.LANCZOS))


def legend_colour(colour: np.ndarray) -> tuple[int, int, int]:
    """A class's colour (3,) uint8 as :func:`tint` shows it on medium grey."""
    red, green, blue = _blend(MID_GREY, colour).astype(int).tolist()
    return red, green, blue


def draw_entry(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, colour: np.ndarray) -> None:
    """Draw a legend's swatch, of its :func:`legend_colour`, and the text beside it.

    Args:
        draw: of the picture.
        place: left and top edge.
        text: one line.
        colour: (3,) uint8.
    """
    left, top = place
    draw.rectangle((left, top, left + _SWATCH, top + _SWATCH), fill=legend_colour(colour))
    draw_text(draw, (left + _SWATCH + _GAP, top - 2), text, _FONT)


def entry_width(text: str) -> int:
    """Pixels that a legend's entry takes, with the room before the next one."""
    return _SWATCH + 3 * _GAP + text_width(text, _FONT)


def draw_grid(columns: Sequence[Column], legend: Sequence[tuple[str, np.ndarray]]) -> Image.Image:
    """Put columns side by side.

    Args:
        columns: with the same number of rows; a column is as wide as its widest cell or its title.
        legend: names, of which long ones are cut, and their colours, in as many lines as they need.

    Returns:
        The picture, RGB on white.
    """
    names = [cut(name) for name, _ in legend]
    warn_of_missing([*names, *(column.title for column in columns)])
    rows = range(len(columns[0].cells))
    heights = [max((c.cells[row].shape[0] for c in columns if c.cells[row] is not None), default=0) for row in rows]  # type: ignore[union-attr]
    widths = [_width(column) for column in columns]
    width = max(sum(widths) + _GAP * (len(widths) + 1), *(_GAP + entry_width(name) for name in names), 0)
    entries = _place_legend(names, width)
    lines = entries[-1][1] + 1 if entries else 1
    body = _TITLE + sum(heights) + _GAP * (len(heights) + 1)
    picture = Image.new("RGB", (width, body + lines * _TITLE), "white")
    draw = ImageDraw.Draw(picture)
    left = _GAP
    for column, column_width in zip(columns, widths, strict=True):
        draw_text(draw, (left, _GAP // 2), column.title, _FONT)
        top = _TITLE
        for cell, row_height in zip(column.cells, heights, strict=True):
            if cell is not None:
                picture.paste(Image.fromarray(cell), (left, top))
            top += row_height + _GAP
        left += column_width + _GAP
    for name, (_, colour), (left, line) in zip(names, legend, entries, strict=True):
        draw_entry(draw, (left, body + line * _TITLE), name, colour)
    return picture


def _blend(grey: np.ndarray | int, colour: np.ndarray) -> np.ndarray:
    return ((1 - _OPACITY) * grey + _OPACITY * colour).round()


def _width(column: Column) -> int:
    return max(text_width(column.title, _FONT), *(cell.shape[1] for cell in column.cells if cell is not None), 1)


def _place_legend(names: Sequence[str], width: int) -> list[tuple[int, int]]:
    """Left edge and line of each entry."""
    places = []
    left, line = _GAP, 0
    for name in names:
        length = entry_width(name)
        if left > _GAP and left + length > width:
            left, line = _GAP, line + 1
        places.append((left, line))
        left += length
    return places
