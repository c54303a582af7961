"""What methods cost, in the columns of DSLO's complexity table: as a table, Markdown, CSV or JSON."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.table import Table
from rich.text import Text

from mmseg_tfovss.engine.provenance import device_name
from mmseg_tfovss.plain import printable
from mmseg_tfovss.profiling.benchmark import COMPONENTS, Timing
from mmseg_tfovss.whole_file import whole_file

Row = dict[str, str | float | None]
SUFFIXES = (".md", ".csv", ".json")
_FORMATS = {
    "FLOPs (G)": ".1f",
    "Params (M)": ".1f",
    "with text tower (M)": ".1f",
    "Inference time (s)": ".3f",
    **{f"{component} (s)": ".3f" for component in COMPONENTS},
}


def complexity_row(model: str, timing: Timing, precision: str, device: str) -> Row:
    """One method's costs for one image.

    Args:
        model: how the row is called.
        timing: of :func:`mmseg_tfovss.profiling.benchmark.time_stages`.
        precision: of the image tower.
        device: what it ran on, e.g. ``cuda``.

    Returns:
        Values by column, not rounded; ``None`` for a component that the method does not have.
    """
    text = timing.text_parameters
    return {
        "Model": model,
        "FLOPs (G)": timing.total_flops / 1e9,
        "Params (M)": timing.all_parameters / 1e6,
        "with text tower (M)": None if text is None else (timing.all_parameters + text) / 1e6,
        "Inference time (s)": timing.inference_seconds,
        **{f"{component} (s)": timing.components[component] for component in COMPONENTS},
        "Image": "x".join(str(side) for side in timing.labels.shape),
        "Precision": precision,
        "Device": device_and_threads(torch.device(device)),
    }


def check_suffix(path: Path) -> None:
    """Raise ValueError unless :func:`write_complexity` can write such a file."""
    if path.suffix not in SUFFIXES:
        raise ValueError(f"--out must end with one of {', '.join(SUFFIXES)}, but got {path}.")


def write_complexity(rows: Sequence[Row], path: Path) -> None:
    """Write the rows, in the format that the file's name says; numbers are rounded in Markdown only."""
    check_suffix(path)
    texts = {".md": to_markdown, ".csv": to_csv, ".json": lambda rows: json.dumps(list(rows), indent=2) + "\n"}
    with whole_file(path) as scratch:
        scratch.write_text(texts[path.suffix](rows), encoding="utf-8")


def to_markdown(rows: Sequence[Row]) -> str:
    """A Markdown table."""
    columns = list(rows[0])
    rule = ["---:" if column in _FORMATS else "---" for column in columns]
    lines = [columns, rule, *([_cell(column, row[column]) for column in columns] for row in rows)]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def to_csv(rows: Sequence[Row]) -> str:
    """Comma-separated values with a header; empty where there is no value."""
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()


def complexity_table(rows: Sequence[Row]) -> Table:
    """The rows for the terminal."""
    table = Table(title="Complexity, one image")
    for column in rows[0]:
        table.add_column(column, justify="right" if column in _FORMATS else "left")
    for row in rows:
        table.add_row(*(Text(printable(_cell(column, value))) for column, value in row.items()))
    return table


def device_and_threads(device: torch.device) -> str:
    """What a table calls a device: a CPU's speed depends on the threads that work on it."""
    threads = "" if device.type == "cuda" else f", threads: {torch.get_num_threads()}"
    return device_name(device) + threads


def _cell(column: str, value: str | float | None) -> str:
    return "-" if value is None else format(value, _FORMATS.get(column, ""))
