"""The one legend of all overlays, as HTML, and what a screen reader says of each."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from mmseg_tfovss.pictures.grid import legend_colour
from mmseg_tfovss.pictures.overlay import named_colours, percent
from mmseg_tfovss.vocabulary.words import cut, listed

_MOST_ROWS = 40
_MOST_SPOKEN = 5  # classes that an alternative text names


def class_shares(labels: np.ndarray, count: int) -> np.ndarray:
    """The share of all pixels that each of ``count`` classes has: (C,) float from labels (H, W)."""
    return np.bincount(labels.ravel(), minlength=count) / labels.size


def draw_legend(names: Sequence[str], shares: Mapping[str, np.ndarray]) -> str:
    """A table with one row per class that occurs, largest first, and one column per method.

    Args:
        names: of all classes.
        shares: :func:`class_shares` by method.

    Returns:
        HTML in which every name is escaped.
    """
    total = np.sum(list(shares.values()), axis=0)
    order = np.argsort(-total, kind="stable")
    present = [int(index) for index in order if total[index]]
    absent = [names[index] for index in range(len(names)) if not total[index]]
    colours = named_colours(names)
    titles = "".join(f'<th scope="col">{escape(method)}</th>' for method in shares)
    rows = "".join(
        _row(names[index], legend_colour(colours[index]), [column[index] for column in shares.values()])
        for index in present[:_MOST_ROWS]
    )
    hidden = len(present) - _MOST_ROWS
    notes = [f"{hidden} more classes have smaller areas."] if hidden > 0 else []
    notes += [f"Not found: {escape(listed(absent, 20))}."] if absent else []
    return (
        f'<table class="legend"><thead><tr><th scope="col">class</th>{titles}</tr></thead><tbody>{rows}</tbody></table>'
        + "".join(f"<p>{note}</p>" for note in notes)
    )


def describe(method: str, names: Sequence[str], shares: np.ndarray) -> str:
    """An alternative text for a method's overlay: its largest classes."""
    largest = [index for index in np.argsort(-shares, kind="stable") if shares[index]]
    told = ", ".join(f"{cut(names[index], 30)} {percent(shares[index])}" for index in largest[:_MOST_SPOKEN])
    return f"Labels of {method}: {told}{', ...' if len(largest) > _MOST_SPOKEN else ''}"


def _row(name: str, colour: tuple[int, int, int], shares: Sequence[float]) -> str:
    swatch = f'<span class="swatch" style="background:rgb{colour}"></span>'
    cells = "".join(f"<td>{escape(percent(share)) if share else '0%'}</td>" for share in shares)
    return f'<tr><th scope="row">{swatch}{escape(cut(name))}</th>{cells}</tr>'
