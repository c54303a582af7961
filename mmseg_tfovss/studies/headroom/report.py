"""What the comparison of readings writes: JSON, a Markdown table for each mode, and every number as CSV."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from mmseg_tfovss.ops.upsampling import UPSAMPLINGS
from mmseg_tfovss.plain import csv_cell, escape_markdown
from mmseg_tfovss.studies.headroom.cells import FINE_SIDE, NO_UPSAMPLING, SIDE
from mmseg_tfovss.studies.headroom.readings import AXES, LOGITS
from mmseg_tfovss.whole_file import whole_file

RESULT_NAME, MARKDOWN_NAME, TABLE_NAME = "headroom.json", "headroom.md", "headroom.csv"
NAMES = (RESULT_NAME, MARKDOWN_NAME, TABLE_NAME)
_FINE = f"Labels are those of {FINE_SIDE} x {FINE_SIDE} cells, scores upsampled"
_CELLS = {
    NO_UPSAMPLING: f"Labels are those of {SIDE} x {SIDE} patches.",
    **{kind: f"{_FINE} ({kind})." for kind in UPSAMPLINGS},
}
_ONE_CLASS = 0.5  # from this theta on, one class at most has mass at a patch
_FIRST_STEP_NOTE = (
    "One class at most has mass at a patch here, and no other can converge there within the first step: so first\\_step"
    " makes hardly any difference to maximum velocity. Where scores are upsampled it does."
)
Result = Mapping[str, Any]
Row = Mapping[str, Any]
DEFAULT_MARK = "default"
_OPTIONS = tuple(dict.fromkeys(name for axes in AXES.values() for name in axes))
_SCORES = ("mIoU", "gain", "pAcc")
_HEADER = ("graph", "mode", *_OPTIONS, "is_default", *_SCORES)


def write_report(result: Result, folder: Path) -> None:
    """Write every file of :data:`NAMES`.

    Args:
        result: of :func:`mmseg_tfovss.studies.headroom.study.analyse`.
        folder: where they are written.
    """
    with whole_file(folder / RESULT_NAME) as scratch:
        scratch.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with whole_file(folder / MARKDOWN_NAME) as scratch:
        scratch.write_text(to_markdown(result), encoding="utf-8")
    with whole_file(folder / TABLE_NAME) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(_csv_lines(result))


def to_markdown(result: Result) -> str:
    """What was planted, and a table of readings for each mode, the best first."""
    rule = f"at theta = {result['theta']:g}, {100 * result['confident_share']:.1f}% of the patches count"
    right = 100 * result["confident_and_right_share"] / max(result["confident_share"], 1e-9)
    lines = [
        f"# DSLO's readings on planted logits and graphs, {result['scenes']} pocket scenes",
        "",
        "Logits and planted graphs are synthetic: this ranks readings in this setting, and no methods on real images."
        f" {_CELLS[result['upsampling']]}",
        "",
        f"Seed {result['seed']}; {rule}, and {right:.1f}% of these are right.",
        "",
        *_aligned([["", "mIoU"], ["---", "---:"], *_references(result)]),
        "",
        *_aligned([["Graph", "ROC-AUC"], ["---", "---:"], *_graphs(result)]),
    ]
    if result["theta"] >= _ONE_CLASS and result["upsampling"] == NO_UPSAMPLING:
        lines += ["", _FIRST_STEP_NOTE]
    for mode in AXES:
        lines += ["", f"## {escape_markdown(mode)}", "", *mode_table(result, mode)]
    return "\n".join(lines) + "\n"


def mode_table(result: Result, mode: str, most: int | None = None) -> list[str]:
    """Lines of a Markdown table: a row per reading of a mode, the largest mean over all graphs first.

    Args:
        result: of the study.
        mode: which.
        most: show this many of the best, and besides them the default and the worst only; ``None``: all.
    """
    ranked = _ranked(result, mode)
    names = list(ranked[0][1])
    best = {name: max(found[name]["mIoU"] for _, found in ranked) for name in names}
    scores = [column for name in names for column in (name or "mIoU", "gain")] + ["mean gain"] * (len(names) > 1)
    lines = [
        [*map(escape_markdown, (*AXES[mode], *scores)), ""],
        [*("---" for _ in AXES[mode]), *("---:" for _ in scores), "---"],
    ]
    for place, (values, found) in enumerate(ranked, start=1):
        is_default = found[names[0]]["is_default"]
        if most is not None and most < place < len(ranked) and not is_default:
            continue
        cells = [cell for name in names for cell in _cells(found[name], best[name])]
        if len(names) > 1:
            cells.append(f"{mean(row['gain'] for row in found.values()):+.2f}")
        lines.append([*values, *cells, DEFAULT_MARK if is_default else ""])
    return _aligned(lines)


def summary_lines(result: Result, most: int = 8) -> list[str]:
    """The report for a terminal: of many readings the best, the default and the worst."""
    lines = _aligned([["", "mIoU"], ["---", "---:"], *_references(result)])
    for mode in AXES:
        count = len(_ranked(result, mode))
        shown = most if count > most + 2 else None
        what = ": the best, the default and the worst" if shown else ""
        lines += ["", f"{mode}, {count} reading{'s' * (count > 1)}{what}", *mode_table(result, mode, shown)]
    return lines


def _ranked(result: Result, mode: str) -> list[tuple[tuple[str, ...], dict[str, Row]]]:
    """The readings of a mode, the largest mean over its graphs first: values of its options, and rows by graph."""
    found: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in result["readings"]:
        if row["mode"] == mode:
            found.setdefault(tuple(_value(row, name) for name in AXES[mode]), {})[row["graph"]] = row
    return sorted(found.items(), key=lambda item: -mean(row["mIoU"] for row in item[1].values()))


def _references(result: Result) -> list[list[str]]:
    return [
        ["logits", f"{result['logits_mIoU']:.2f}"],
        ["majority of the logits in each true region", f"{result['upper_mIoU']:.2f}"],
    ]


def _graphs(result: Result) -> list[list[str]]:
    return [[escape_markdown(name), f"{auc:.3f}"] for name, auc in result["graph_auc"].items()]


def _value(row: Row, option: str) -> str:
    return escape_markdown(row[option]) if option in row else "-"


def _cells(row: Row, best: float) -> tuple[str, str]:
    score = f"{row['mIoU']:.2f}"
    return (f"**{score}**" if row["mIoU"] == best else score), f"{row['gain']:+.2f}"


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table that is one in a terminal too; its second line says what stands to the right."""
    columns = []
    for column in zip(*lines, strict=True):
        width = max(map(len, column))
        right = column[1].endswith(":")
        cells = [cell.rjust(width) if right else cell.ljust(width) for cell in column]
        cells[1] = "-" * (width - right) + ":" * right
        columns.append(cells)
    return [f"| {' | '.join(cells)} |" for cells in zip(*columns, strict=True)]


def _csv_lines(result: Result) -> list[list[str]]:
    rows = sorted(result["readings"], key=lambda row: (row["mode"] != LOGITS, row["graph"], row["mode"], -row["mIoU"]))
    return [list(_HEADER), *(list(map(csv_cell, _csv_texts(row))) for row in rows)]


def _csv_texts(row: Row) -> list[str]:
    return [f"{row[name]:.4f}" if name in _SCORES else str(row.get(name, "")) for name in _HEADER]
