"""Label maps as pictures: an indexed mask, and an overlay with a legend."""

import colorsys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_OPACITY = 0.55
_ROW, _SWATCH, _MARGIN = 18, 12, 6  # pixels of the legend
_GOLDEN_RATIO = 0.618033988749895
_MAX_INDEXED = 256


def class_colours(count: int) -> np.ndarray:
    """(count, 3) uint8 colours that neighbours in the list can be told apart by; class 0 is dark grey."""
    colours = [(64, 64, 64)]
    for index in range(1, count):
        hue, value = index * _GOLDEN_RATIO % 1.0, (1.0, 0.75)[index % 2]
        red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, value)
        colours.append((round(255 * red), round(255 * green), round(255 * blue)))
    return np.array(colours[:count], dtype=np.uint8)


def save_mask(labels: np.ndarray, colours: np.ndarray, path: Path) -> None:
    """Write class ids (H, W) as an indexed PNG, or as a 16-bit greyscale PNG when there are more than 256 classes."""
    if len(colours) > _MAX_INDEXED:
        Image.fromarray(labels.astype(np.uint16)).save(path)
        return
    mask = Image.fromarray(labels.astype(np.uint8), mode="P")
    mask.putpalette(colours.flatten().tolist())
    mask.save(path)


def draw_overlay(image: np.ndarray, labels: np.ndarray, names: Sequence[str], colours: np.ndarray) -> Image.Image:
    """Colour an image by class, with a legend of the classes that occur, largest first.

    Args:
        image: (H, W, 3) uint8, RGB.
        labels: (H, W) class ids.
        names: of all classes.
        colours: (C, 3) uint8.

    Returns:
        The picture, wider than the image by its legend.
    """
    blended = (1 - _OPACITY) * image + _OPACITY * colours[labels]
    areas = np.bincount(labels.flatten(), minlength=len(names))
    present = [index for index in np.argsort(-areas, kind="stable") if areas[index]]
    font = ImageFont.load_default(size=12)
    lines = [f"{names[index]} {100 * areas[index] / labels.size:.0f}%" for index in present]
    width = max(int(font.getlength(line)) for line in lines) + _SWATCH + 3 * _MARGIN
    height = max(len(image), len(lines) * _ROW + 2 * _MARGIN)
    picture = Image.new("RGB", (image.shape[1] + width, height), "white")
    picture.paste(Image.fromarray(blended.round().astype(np.uint8)))
    draw = ImageDraw.Draw(picture)
    left = image.shape[1] + _MARGIN
    for number, (index, line) in enumerate(zip(present, lines, strict=True)):
        top = _MARGIN + number * _ROW
        draw.rectangle((left, top, left + _SWATCH, top + _SWATCH), fill=tuple(colours[index].tolist()))
        draw.text((left + _SWATCH + _MARGIN, top - 1), line, fill="black", font=font)
    return picture
