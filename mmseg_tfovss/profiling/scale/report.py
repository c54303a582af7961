"""The costs of all points, as a CSV file and as Markdown tables."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmseg_tfovss.profiling.complexity import to_markdown
from mmseg_tfovss.profiling.scale.measure import STAGES, Cost
from mmseg_tfovss.profiling.scale.points import AXES, Point, Sweeps
from mmseg_tfovss.whole_file import whole_file

Costs = Mapping[Point, Cost | None]
"""What was measured so far; None: the process ended for lack of memory."""
TITLES = {"megapixels": "Image size", "words": "Vocabulary", "batch": "Batch"}
_NOTE = "Seconds are per image. Memory is that of the whole batch, above the weights. -: not enough memory.\n"


def write_report(folder: Path, name: str, sweeps: Sweeps, costs: Costs, machine: Sequence[str]) -> None:
    """Write ``scale.csv`` and ``scale.md``.

    Args:
        folder: where they go.
        name: of the method's config.
        sweeps: which points belong together.
        costs: of the points that have been measured.
        machine: lines about what they were measured on.
    """
    for ending, text in (("csv", to_csv(costs)), ("md", to_text(name, sweeps, costs, machine))):
        with whole_file(folder / f"scale.{ending}") as scratch:
            scratch.write_text(text, encoding="utf-8")


def to_csv(costs: Costs) -> str:
    """One row for each point; empty where there is no value."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["height", "width", *AXES, "encoder_seconds_per_image", "after_seconds_per_image", "peak_mib"])
    for point, cost in costs.items():
        measured = ["", "", ""] if cost is None else [*per_image(point, cost), f"{cost.peak_mib:.1f}"]
        table.writerow([*point.size, *(getattr(point, axis) for axis in AXES), *measured])
    return text.getvalue()


def per_image(point: Point, cost: Cost) -> list[float]:
    """Seconds per image in the encoder, and after it."""
    return [round(cost.seconds[stage] / point.batch, 6) for stage in STAGES]


def to_text(name: str, sweeps: Sweeps, costs: Costs, machine: Sequence[str]) -> str:
    """A table for each axis, in Markdown."""
    parts = [f"# Scale of {name}\n", "".join(f"- {line}\n" for line in machine), _NOTE]
    for axis in AXES:
        points = [point for point in sweeps.along(axis) if point in costs]
        if points:
            parts += [f"## {TITLES[axis]}\n", to_markdown([_row(point, costs[point]) for point in points])]
    return "\n".join(parts)


def _row(point: Point, cost: Cost | None) -> dict[str, str | float | None]:
    height, width = point.size
    encoder, after = ("-", "-") if cost is None else (f"{seconds:.3f}" for seconds in per_image(point, cost))
    return {
        "image": f"{width} x {height}",
        "megapixels": _megapixels(height * width),
        "words": f"{point.words:,}",
        "batch": f"{point.batch:,}",
        "encoder (s)": encoder,
        "after the encoder (s)": after,
        "peak memory (MiB)": "-" if cost is None else f"{cost.peak_mib:.0f}",
    }


def _megapixels(pixels: int) -> str:
    """At least two significant digits, also of a very small image."""
    millions = pixels / 1e6
    return f"{millions:.{max(1, 1 - math.floor(math.log10(millions)))}f}"
