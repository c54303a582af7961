"""The scores of a sweep over one option as a line or bars, over two as a heat map with the numbers in its cells."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmseg_tfovss.plain import one_line
from mmseg_tfovss.sweeps.values import option_label, value_label

PICTURE_NAME = "sweep.png"
_CELL = (0.78, 0.46)  # inches
_LETTER = 0.085  # inches
_DARK = 0.5  # of the colours' range: cells below have white numbers


def draw_sweep(swept: Mapping[str, Sequence[object]], scores: np.ndarray, score: str, title: str) -> Figure:
    """Draw a sweep over one or two options.

    Args:
        swept: values by option; one option of numbers gives a line, another one bars, two a heat map.
        scores: in percent, one axis per option; NaN where there is none.
        score: its name.
        title: written above.

    Returns:
        The picture, to be saved with its ``savefig``.
    """
    if len(swept) == 2:
        return _draw_heat_map(swept, scores, score, title)
    ((option, values),) = swept.items()
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    draw = _draw_line if numbers else _draw_bars
    return draw(option, values, scores, score, title)


def _draw_line(option: str, values: Sequence[object], scores: np.ndarray, score: str, title: str) -> Figure:
    figure = _figure(max(4.5, 0.7 * len(values) + 1.5), 3.4)
    axis = figure.subplots()
    axis.plot(range(len(values)), scores, "o-", color="tab:blue")
    for place, value in enumerate(scores):
        if np.isnan(value):
            continue
        text = axis.annotate(
            f"{value:.2f}", (place, value), (0, 8), textcoords="offset points", ha="center", fontsize=9
        )
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})  # the line may pass behind
    axis.set_xticks(range(len(values)), [_text(value_label(value)) for value in values])
    axis.margins(x=0.08, y=0.2)
    axis.grid(axis="y", alpha=0.3)
    axis.set(xlabel=_text(option_label(option)), ylabel=f"{score} (%)")
    _set_title(axis, title)
    return figure


def _draw_bars(option: str, values: Sequence[object], scores: np.ndarray, score: str, title: str) -> Figure:
    """Lying bars, so that long names can be read; the first one is on top."""
    labels = [_text(value_label(value)) for value in values]
    figure = _figure(max(5.0, 3.5 + _LETTER * max(map(len, labels))), max(2.0, 0.36 * len(labels) + 1.0))
    axis = figure.subplots()
    lengths = np.nan_to_num(scores)
    colours = ["tab:orange" if value == np.max(lengths) else "tab:blue" for value in lengths]
    bars = axis.barh(range(len(labels)), lengths, color=colours)
    texts = ["-" if np.isnan(value) else f"{value:.2f}" for value in scores]
    axis.bar_label(bars, labels=texts, padding=3, fontsize=9)
    axis.set_yticks(range(len(labels)), labels)
    axis.invert_yaxis()
    axis.margins(x=0.15)
    axis.set(xlabel=f"{score} (%)", ylabel=_text(option_label(option)))
    _set_title(axis, title)
    return figure


def _draw_heat_map(swept: Mapping[str, Sequence[object]], scores: np.ndarray, score: str, title: str) -> Figure:
    (down, rows), (across, columns) = swept.items()
    row_labels, column_labels = ([_text(value_label(value)) for value in values] for values in (rows, columns))
    width = max(_CELL[0], 0.11 * max(map(len, column_labels)))
    margin = 2.2 + max(0.0, _LETTER * (max(map(len, row_labels)) - 8))
    figure = _figure(max(4.5, width * len(columns) + margin), max(2.6, _CELL[1] * len(rows) + 1.4))
    axis = figure.subplots()
    known = scores[~np.isnan(scores)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
    picture = axis.imshow(scores, cmap="viridis", aspect="auto")
    axis.set_xticks(range(len(columns)), column_labels)
    axis.set_yticks(range(len(rows)), row_labels)
    axis.set(xlabel=_text(option_label(across)), ylabel=_text(option_label(down)))
    for (row, column), value in np.ndenumerate(scores):
        colour = "white" if value < low + _DARK * (high - low) else "black"
        weight = "bold" if value == high else "normal"
        text = "-" if np.isnan(value) else f"{value:.2f}"
        axis.text(column, row, text, ha="center", va="center", color=colour, fontsize=9, fontweight=weight)
    figure.colorbar(picture, label=f"{score} (%)")
    _set_title(axis, title)
    return figure


def _figure(width: float, height: float) -> Figure:
    figure = Figure((width, height), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _set_title(axis: Axes, title: str) -> None:
    axis.set_title(_text(title), fontsize=10, wrap=True)


def _text(text: str) -> str:
    """Text that matplotlib draws as it is: it would read what stands between two dollars as mathematics."""
    return one_line(text).replace("$", r"\$")
