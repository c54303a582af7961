"""Label maps side by side: coloured pictures in columns, with titles above and a legend below."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_OPACITY = 0.7
_TITLE, _GAP, _SWATCH, _FONT = 22, 6, 12, 13  # pixels


@dataclass(frozen=True)
class Column:
    """A title and one picture per row: (H, W, 3) uint8; ``None`` leaves the place empty."""

    title: str
    cells: Sequence[np.ndarray | None]


def tint(image: np.ndarray, labels: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Blend class colours over an image; pixels without a class (ignored) stay as they are.

    Args:
        image: (H, W, 3) uint8, RGB.
        labels: (H, W) class ids; those that have no colour are no classes.
        colours: (C, 3) uint8.

    Returns:
        (H, W, 3) uint8.
    """
    known = ((labels >= 0) & (labels < len(colours)))[..., None]
    tinted = (1 - _OPACITY) * image + _OPACITY * colours[np.where(known[..., 0], labels, 0)]
    return np.where(known, tinted, image).round().astype(np.uint8)


def draw_grid(columns: Sequence[Column], legend: Sequence[tuple[str, np.ndarray]]) -> Image.Image:
    """Put columns side by side.

    Args:
        columns: with the same number of rows; a column is as wide as its widest cell or its title.
        legend: names and their colours, in as many lines as they need.

    Returns:
        The picture, RGB on white.
    """
    font = ImageFont.load_default(size=_FONT)
    rows = range(len(columns[0].cells))
    heights = [max((c.cells[row].shape[0] for c in columns if c.cells[row] is not None), default=0) for row in rows]  # type: ignore[union-attr]
    widths = [_width(column, font) for column in columns]
    width = sum(widths) + _GAP * (len(widths) + 1)
    entries = _place_legend([name for name, _ in legend], font, width)
    lines = entries[-1][1] + 1 if entries else 1
    body = _TITLE + sum(heights) + _GAP * (len(heights) + 1)
    picture = Image.new("RGB", (width, body + lines * _TITLE), "white")
    draw = ImageDraw.Draw(picture)
    left = _GAP
    for column, column_width in zip(columns, widths, strict=True):
        draw.text((left, _GAP // 2), column.title, fill="black", font=font)
        top = _TITLE
        for cell, row_height in zip(column.cells, heights, strict=True):
            if cell is not None:
                picture.paste(Image.fromarray(cell), (left, top))
            top += row_height + _GAP
        left += column_width + _GAP
    for (name, colour), (left, line) in zip(legend, entries, strict=True):
        top = body + line * _TITLE
        draw.rectangle((left, top, left + _SWATCH, top + _SWATCH), fill=tuple(colour.tolist()))
        draw.text((left + _SWATCH + _GAP, top - 2), name, fill="black", font=font)
    return picture


def _width(column: Column, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> int:
    return max(int(font.getlength(column.title)), *(cell.shape[1] for cell in column.cells if cell is not None), 1)


def _place_legend(
    names: Sequence[str], font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> list[tuple[int, int]]:
    """Left edge and line of each entry."""
    places = []
    left, line = _GAP, 0
    for name in names:
        length = _SWATCH + 3 * _GAP + int(font.getlength(name))
        if left > _GAP and left + length > width:
            left, line = _GAP, line + 1
        places.append((left, line))
        left += length
    return places
