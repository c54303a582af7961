"""Curves of seconds and memory against image size, words and batch."""

import math
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from mmseg_tfovss.plain import one_line
from mmseg_tfovss.profiling.scale.measure import STAGES, Cost
from mmseg_tfovss.profiling.scale.points import AXES, Point, Sweeps
from mmseg_tfovss.profiling.scale.report import Costs
from mmseg_tfovss.whole_file import whole_file

_LABELS = {"megapixels": "megapixels of the image", "words": "words", "batch": "images in a batch"}
_COLOURS = ("tab:blue", "tab:orange")
_INCHES, _DPI = (8.0, 4.8), 150


def write_picture(path: Path, name: str, sweeps: Sweeps, costs: Costs) -> None:
    """Draw the points that were measured, and write the PNG file."""
    figure = draw_costs(name, sweeps, costs)
    with whole_file(path) as scratch:
        figure.savefig(scratch, dpi=_DPI)


def draw_costs(name: str, sweeps: Sweeps, costs: Costs) -> Figure:
    """Seconds per image above, peak memory below, one column for each axis."""
    figure = Figure(_INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(2, len(AXES), sharex="col", sharey="row")
    for column, axis in enumerate(AXES):
        known = [(point, cost) for point in sweeps.along(axis) if (cost := costs.get(point)) is not None]
        _draw_column(grid[0, column], grid[1, column], axis, known)
    grid[1, 0].set_ylim(bottom=0)  # not before all columns are drawn: limits that are set no longer follow the data
    grid[0, 0].set_ylabel("seconds per image")
    grid[1, 0].set_ylabel("peak memory above\nthe weights (MiB)")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper right", ncols=len(handles), frameon=False)
    figure.suptitle(one_line(name).replace("$", r"\$"), x=0.01, ha="left", fontsize=11)
    return figure


def _draw_column(seconds: Axes, memory: Axes, axis: str, known: list[tuple[Point, Cost]]) -> None:
    values = [getattr(point, axis) for point, _ in known]
    for stage, colour in zip(STAGES, _COLOURS, strict=True):
        times = [cost.seconds[stage] / point.batch for point, cost in known]
        seconds.plot(values, times, "o-", color=colour, label=stage, markersize=4)
    measured = [(value, cost.peak_mib) for value, (_, cost) in zip(values, known, strict=True)]
    told = [pair for pair in measured if not math.isnan(pair[1])]
    memory.plot([value for value, _ in told], [peak for _, peak in told], "s-", color="tab:green", markersize=4)
    for plot in (seconds, memory):
        plot.set(xscale="log")
        plot.grid(alpha=0.3)
        plot.xaxis.set_minor_locator(NullLocator())
    seconds.set(yscale="log")
    seconds.yaxis.set_minor_locator(NullLocator())
    seconds.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=20))
    seconds.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    memory.set_xticks(values, [f"{value:,g}" for value in values])
    memory.set_xlabel(_LABELS[axis])
