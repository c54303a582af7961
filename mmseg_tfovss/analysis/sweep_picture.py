"""The scores of a sweep over one option as a line, over two as a heat map with the numbers in its cells."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

PICTURE_NAME = "sweep.png"
_CELL = (0.78, 0.46)  # inches
_DARK = 0.5  # of the colours' range: cells below have white numbers


def draw_sweep(swept: Mapping[str, Sequence[object]], scores: np.ndarray, score: str, title: str) -> Figure:
    """Draw a sweep over one or two options.

    Args:
        swept: values by option.
        scores: in percent, one axis per option.
        score: its name.
        title: written above.

    Returns:
        The picture, to be saved with its ``savefig``.
    """
    if len(swept) == 1:
        return _draw_line(swept, scores, score, title)
    return _draw_heat_map(swept, scores, score, title)


def _draw_line(swept: Mapping[str, Sequence[object]], scores: np.ndarray, score: str, title: str) -> Figure:
    ((option, values),) = swept.items()
    figure = _figure(max(4.5, 0.7 * len(values) + 1.5), 3.4)
    axis = figure.subplots()
    axis.plot(range(len(values)), scores, "o-", color="tab:blue")
    for place, value in enumerate(scores):
        text = axis.annotate(
            f"{value:.2f}", (place, value), (0, 8), textcoords="offset points", ha="center", fontsize=9
        )
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})  # the line may pass behind
    axis.set_xticks(range(len(values)), [str(value) for value in values])
    axis.margins(x=0.08, y=0.2)
    axis.grid(axis="y", alpha=0.3)
    axis.set(xlabel=_short(option), ylabel=f"{score} (%)")
    _set_title(axis, title)
    return figure


def _draw_heat_map(swept: Mapping[str, Sequence[object]], scores: np.ndarray, score: str, title: str) -> Figure:
    (down, rows), (across, columns) = swept.items()
    width = max(_CELL[0], 0.11 * max(len(str(value)) for value in columns))
    figure = _figure(max(4.5, width * len(columns) + 2.2), max(2.6, _CELL[1] * len(rows) + 1.4))
    axis = figure.subplots()
    low, high = np.nanmin(scores), np.nanmax(scores)
    picture = axis.imshow(scores, cmap="viridis", aspect="auto")
    axis.set_xticks(range(len(columns)), [str(value) for value in columns])
    axis.set_yticks(range(len(rows)), [str(value) for value in rows])
    axis.set(xlabel=_short(across), ylabel=_short(down))
    for (row, column), value in np.ndenumerate(scores):
        colour = "white" if value < low + _DARK * (high - low) else "black"
        weight = "bold" if value == high else "normal"
        axis.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=9, fontweight=weight)
    figure.colorbar(picture, label=f"{score} (%)")
    _set_title(axis, title)
    return figure


def _figure(width: float, height: float) -> Figure:
    figure = Figure((width, height), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _set_title(axis: Axes, title: str) -> None:
    axis.set_title(title, fontsize=10, wrap=True)


def _short(option: str) -> str:
    return option.removeprefix("model.")
