"""Label maps as pictures: colours for classes, an indexed mask, and an overlay with a legend."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw

from mmseg_tfovss.pictures.grid import draw_entry, entry_width, tint
from mmseg_tfovss.pictures.lettering import warn_of_missing
from mmseg_tfovss.registry import DATASETS
from mmseg_tfovss.vocabulary.classes import BACKGROUND
from mmseg_tfovss.vocabulary.words import cut

_WHITE, _BLACK, _GREY = (255, 255, 255), (0, 0, 0), (96, 96, 96)
_LEVELS = 12  # candidate colours: this many values of red, green and blue each
_LIGHTNESS, _CHROMA = (30, 90), 25  # CIELAB: neither white nor black nor grey
_ROW, _MARGIN = 18, 6  # pixels of the legend
_MAX_INDEXED = 256


def class_colours(count: int, *, grey_first: bool = True) -> np.ndarray:
    """Colours that can be told apart, the first ones best.

    Each is the candidate farthest, in CIELAB, from white, black, grey and all colours before it, so a class's colour
    does not depend on how many follow. Beyond about 1300 they repeat.

    Args:
        count: of classes.
        grey_first: class 0 is grey, as suits a background.

    Returns:
        (count, 3) uint8.
    """
    chosen = _farthest_colours(count)
    colours = np.vstack([np.array([_GREY], np.uint8), chosen]) if grey_first else chosen
    return colours[np.arange(count) % len(colours)]


def named_colours(names: Sequence[str]) -> np.ndarray:
    """:func:`class_colours` (C, 3) uint8 of classes; grey is the first one if it is called background."""
    return class_colours(len(names), grey_first=names[0] == BACKGROUND)


def dataset_colours(settings: Mapping[str, Any], names: Sequence[str]) -> np.ndarray:
    """A dataset's own palette; where it has none, :func:`named_colours`.

    Colours that a palette has twice (COCO-Stuff: person and bicycle) are replaced by others at their second place.

    Args:
        settings: of the dataset in a config; its files are not needed.
        names: of its classes.

    Returns:
        (C, 3) uint8.
    """
    palette = dataset_facts(settings).get("palette") or ()
    if len(palette) != len(names):
        return named_colours(names)
    own = [tuple(colour) for colour in palette]
    repeated = [index for index, colour in enumerate(own) if colour in own[:index]]
    colours = np.array(own, np.uint8)
    colours[repeated] = _farthest_colours(len(repeated), (_WHITE, _BLACK, _GREY, *own))
    return colours


def dataset_facts(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the settings of a dataset say of its classes and colours, without its files."""
    return {**getattr(DATASETS.get(settings["type"]), "METAINFO", {}), **(settings.get("metainfo") or {})}


def save_mask(labels: np.ndarray, colours: np.ndarray, path: Path) -> None:
    """Write class ids (H, W) as an indexed PNG, or as a 16-bit greyscale PNG when there are more than 256 classes."""
    if len(colours) > _MAX_INDEXED:
        Image.fromarray(labels.astype(np.uint16)).save(path)
        return
    mask = Image.fromarray(labels.astype(np.uint8), mode="P")
    mask.putpalette(colours.flatten().tolist())
    mask.save(path)


def draw_overlay(
    image: np.ndarray, labels: np.ndarray, names: Sequence[str], colours: np.ndarray, *, warns: bool = True
) -> Image.Image:
    """Colour an image by class, with a legend of the classes that occur, largest first.

    Args:
        image: (H, W, 3) uint8, RGB.
        labels: (H, W) class ids.
        names: of all classes.
        colours: (C, 3) uint8.
        warns: of characters in the names that no font has, once.

    Returns:
        The picture, wider than the image by its legend.
    """
    if warns:
        warn_of_missing(names)
    areas = np.bincount(labels.flatten(), minlength=len(names))
    present = [index for index in np.argsort(-areas, kind="stable") if areas[index]]
    lines = [f"{cut(names[index])} {percent(areas[index] / labels.size)}" for index in present]
    width = max(map(entry_width, lines))
    height = max(len(image), len(lines) * _ROW + 2 * _MARGIN)
    picture = Image.new("RGB", (image.shape[1] + width, height), "white")
    picture.paste(Image.fromarray(tint(image, labels, colours)))
    draw = ImageDraw.Draw(picture)
    for number, (index, line) in enumerate(zip(present, lines, strict=True)):
        draw_entry(draw, (image.shape[1] + _MARGIN, _MARGIN + number * _ROW), line, colours[index])
    return picture


def percent(share: float) -> str:
    """A share of all pixels as legends show it."""
    return f"{100 * share:.0f}%" if share >= 0.005 else "<1%"


def _candidates() -> tuple[np.ndarray, np.ndarray]:
    """Colours (N, 3) uint8 and their places in CIELAB (N, 3)."""
    levels = np.linspace(0, 255, _LEVELS).round()
    colours = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.uint8)
    places = _to_lab(colours)
    low, high = _LIGHTNESS
    kept = (places[:, 0] >= low) & (places[:, 0] <= high) & (np.hypot(places[:, 1], places[:, 2]) >= _CHROMA)
    return colours[kept], places[kept]


@cache
def _farthest_colours(count: int, taken: tuple[tuple[int, ...], ...] = (_WHITE, _BLACK, _GREY)) -> np.ndarray:
    """Greedy farthest-point choice away from colours that are taken: (min(count, N), 3) uint8."""
    colours, places = _candidates()
    distances = np.linalg.norm(places[:, None] - _to_lab(np.array(taken, np.uint8)), axis=-1).min(axis=1)
    chosen = []
    for _ in range(min(count, len(colours))):
        chosen.append(int(distances.argmax()))
        distances = np.minimum(distances, np.linalg.norm(places - places[chosen[-1]], axis=-1))
    return colours[chosen]


def _to_lab(colours: np.ndarray) -> np.ndarray:
    """RGB (N, 3) uint8 -> CIELAB (N, 3), to two digits, so that the choice does not depend on the machine."""
    places: np.ndarray = cv2.cvtColor(colours[None].astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[0]
    return places.round(2)
