"""The discriminability of layers and heads, Hoyer maps, and abnormal tokens: each as a figure, and all in one."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle

from mmseg_tfovss.studies.discriminability.abnormal_tokens import BINS, KINDS
from mmseg_tfovss.whole_file import whole_file

OVERVIEW_NAME = "discriminability.png"
Result = Mapping[str, Any]
_DPI = 88
_COLOURS = {"abnormal": "tab:red", "normal": "tab:blue"}
_MAPS_PER_ROW, _MANY_MAPS_PER_ROW, _MANY = 6, 8, 12
_NUMBERS_UP_TO = 8  # heads per block: cells of more are too small for numbers
_RANKED = 10  # heads marked in the heat map


def save_pictures(result: Result, folder: Path) -> list[str]:
    """Write every figure on its own, and the overview, below a folder.

    Args:
        result: of :func:`mmseg_tfovss.studies.discriminability.study.analyse`.
        folder: where they are written.

    Returns:
        Names of the files.
    """
    names = []
    for name, (size, draw) in _parts(result).items():
        figure = _figure(*size)
        figure.suptitle(_title(result), fontsize=9)
        draw(figure, result)
        names.append(f"{name}.png")
        _save(figure, folder / names[-1])
    _save(draw_overview(result), folder / OVERVIEW_NAME)
    return [*names, OVERVIEW_NAME]


def draw_overview(result: Result) -> Figure:
    """All figures in one."""
    figure = _figure(12.0, 10.0)
    figure.suptitle(_title(result), fontsize=12)
    rows = figure.subfigures(3, 1, squeeze=False, height_ratios=(1, 0.9, 1), hspace=0.02).flat
    above, below = (row.subfigures(1, 2, squeeze=False).flat for row in (rows[0], rows[2]))
    middle = rows[1].subfigures(1, 2, squeeze=False, width_ratios=(1.7, 1)).flat
    draw_layers(above[0], result)
    draw_heads(above[1], result)
    draw_hoyer_maps(middle[0], result)
    draw_hoyer_histogram(middle[1], result)
    draw_similarity(below[0], result)
    draw_activation(below[1], result)
    return figure


def draw_comparison(results: Sequence[Result]) -> Figure:
    """Layers, heads and Hoyer scores of several datasets below each other."""
    figure = _figure(14.0, 3.3 * len(results))
    rows = figure.subfigures(len(results), 1, squeeze=False).flat
    for row, result in zip(rows, results, strict=True):
        row.suptitle(_title(result), fontsize=10)
        parts = row.subfigures(1, 3, squeeze=False, width_ratios=(1.2, 1.2, 1)).flat
        for part, draw in zip(parts, (draw_layers, draw_heads, draw_hoyer_histogram), strict=True):
            draw(part, result)
    return figure


def draw_layers(figure: Figure | SubFigure, result: Result) -> None:
    """VD over layers, and SA."""
    axis = figure.subplots()
    blocks = [layer["block"] for layer in result["layers"]]
    other = axis.twinx()
    curves = axis.plot(blocks, [layer["VD"] for layer in result["layers"]], "o-", color="tab:blue", label="VD (left)")
    for name, style, label in (("SA", "s-", "SA, patches (right)"), ("mean_class_SA", "s:", "SA, classes (right)")):
        values = [100 * layer[name] for layer in result["layers"]]
        curves += other.plot(blocks, values, style, color="tab:orange", markersize=4, label=label)
    axis.set_title("layers: visual discriminability, semantic alignment", fontsize=10)
    axis.set(xlabel="block", ylabel="VD (ROC-AUC of patch pairs)", xticks=_ticks(blocks))
    other.set_ylabel("SA (%)")
    axis.grid(alpha=0.3)
    axis.legend(handles=curves, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncol=3)


def draw_heads(figure: Figure | SubFigure, result: Result) -> None:
    """VD of each head, block by block, the best ones with a frame."""
    axis = figure.subplots()
    values = np.array(result["head_VD"]).T  # (heads, blocks)
    shown = axis.imshow(values, cmap="viridis", aspect="auto", origin="lower")
    figure.colorbar(shown, ax=axis, label="VD")
    blocks = np.arange(1, values.shape[1] + 1)
    axis.set_xticks(_ticks(blocks) - 1, [str(block) for block in _ticks(blocks)])
    axis.set_yticks(range(0, len(values), max(1, len(values) // 8)))
    axis.set(xlabel="block", ylabel="head")
    best = np.argsort(-values, axis=None, kind="stable")[:_RANKED]
    for head, block in zip(*np.unravel_index(best, values.shape), strict=True):
        axis.add_patch(Rectangle((block - 0.46, head - 0.46), 0.92, 0.92, fill=False, edgecolor="tab:red", linewidth=2))
    if len(values) <= _NUMBERS_UP_TO:
        middle = (values.min() + values.max()) / 2
        for (head, block), value in np.ndenumerate(values):
            colour = "white" if value < middle else "black"
            text = f"{value:.3f}".removeprefix("0")
            axis.annotate(text, (block, head), ha="center", va="center", fontsize=7, color=colour)
    axis.set_title(f"heads: visual discriminability, best {len(best)} framed", fontsize=10)


def draw_hoyer_maps(figure: Figure | SubFigure, result: Result) -> None:
    """Mean Hoyer score at every position, one map per block, one scale."""
    maps = np.array(result["hoyer_maps"])
    rows, columns = _map_layout(len(maps))
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, shown, layer in zip(axes.flat, maps, result["layers"], strict=False):
        image = axis.imshow(shown, cmap="magma", vmin=maps.min(), vmax=maps.max())
        axis.set_title(f"block {layer['block']}\nmean {layer['hoyer']:.2f}", fontsize=8)
    figure.colorbar(image, ax=axes, shrink=0.8, label="mean Hoyer score, by position")


def draw_hoyer_histogram(figure: Figure | SubFigure, result: Result) -> None:
    """Distribution of the Hoyer score in some blocks, and the threshold."""
    axis = figure.subplots()
    counts = np.array(result["hoyer_histogram"])
    centres = (np.arange(BINS) + 0.5) / BINS
    for index in sorted({0, len(counts) // 2, len(counts) - 1}):
        layer = result["layers"][index]
        label = f"block {layer['block']}: {100 * layer['abnormal_share']:.2f} % above"
        axis.plot(centres, 100 * counts[index], drawstyle="steps-mid", label=label)
    axis.axvline(result["tau"], color="tab:red", linestyle="--", label=f"tau = {result['tau']:g}")
    axis.set(xlabel="Hoyer score", ylabel=f"% of tokens, per {1 / BINS:g}", xlim=(0, 1))
    axis.set_title("distribution of the Hoyer score", fontsize=10)
    axis.legend(fontsize=8)


def draw_similarity(figure: Figure | SubFigure, result: Result) -> None:
    """Mean cosines across positions, images and layers, of abnormal tokens beside normal ones."""
    bars, curves = figure.subplots(1, 2)
    for place, kind in enumerate(KINDS):
        part = result["similarity"][kind]
        values = [part["across_positions"], part["across_images"]]
        lengths = [0.0 if value is None else value for value in values]
        label = f"{kind}, {100 * part['share']:.2f} % of the tokens"
        drawn = bars.bar(np.arange(2) + 0.4 * place, lengths, 0.38, color=_COLOURS[kind], label=label)
        texts = ["none" if value is None else f"{value:.2f}" for value in values]
        bars.bar_label(drawn, labels=texts, fontsize=8)
        if part["across_layers"] is not None:
            last = part["across_layers"][-1]
            curves.plot(range(1, len(last) + 1), last, "o-", color=_COLOURS[kind])
    last_block = result["blocks"] - 1
    bars.set_xticks([0.2, 1.2], ["with another position\nof the image", "with another\nimage"], fontsize=8)
    bars.margins(y=0.35)
    bars.set(ylabel="mean cosine")
    bars.legend(fontsize=8, loc="upper right")
    bars.set_title(f"similarity of tokens behind block {last_block}", fontsize=10)
    curves.set(xlabel="block", xticks=_ticks(range(1, last_block + 1), 6), ylabel="mean cosine")
    curves.set_title(f"a token and itself behind block {last_block}", fontsize=10)
    curves.grid(alpha=0.3)


def draw_activation(figure: Figure | SubFigure, result: Result) -> None:
    """Mean absolute activation, sorted within each token, and the channels with the most."""
    axis = figure.subplots()
    for kind in KINDS:
        part = result["similarity"][kind]
        if part["sorted_activation"] is None:
            continue
        top = ", ".join(f"{channel} ({value:.1f})" for channel, value in part["top_channels"][:3])
        ranks = np.arange(1, len(part["sorted_activation"]) + 1)
        axis.plot(ranks, part["sorted_activation"], color=_COLOURS[kind], label=f"{kind}; top channels {top}")
    axis.set(xscale="log", yscale="log", xlabel="rank of the channel in its token", ylabel="mean |activation|")
    axis.set_title(f"activation behind block {result['blocks'] - 1}", fontsize=10)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)


def _parts(result: Result) -> dict[str, tuple[tuple[float, float], Callable[[Figure, Result], None]]]:
    """Name -> size in inches and what draws it."""
    rows, columns = _map_layout(len(result["layers"]))
    return {
        "layers": ((6.0, 3.8), draw_layers),
        "heads": ((6.5, 3.8), draw_heads),
        "hoyer_maps": ((1.5 + 1.2 * columns, 1.0 + 1.6 * rows), draw_hoyer_maps),
        "hoyer_histogram": ((5.5, 3.6), draw_hoyer_histogram),
        "similarity": ((7.0, 3.8), draw_similarity),
        "activation": ((6.0, 3.8), draw_activation),
    }


def _map_layout(count: int) -> tuple[int, int]:
    columns = min(count, _MAPS_PER_ROW if count <= _MANY else _MANY_MAPS_PER_ROW)
    return -(-count // columns), columns


def _title(result: Result) -> str:
    return f"{result['arch']} on {result['dataset']} ({result['split']}), {result['images']} images"


def _ticks(blocks: Sequence[int] | np.ndarray, most: int = 12) -> np.ndarray:
    return np.array(blocks)[:: -(-len(blocks) // most)]


def _figure(width: float, height: float) -> Figure:
    figure = Figure((width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> None:
    with whole_file(path) as scratch:
        figure.savefig(scratch)
