"""What the test of DSLO's hypothesis writes: a JSON file, a Markdown table, and bars."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmseg_tfovss.studies.hypothesis.maps import LOGITS, LOGITS_PRESENT, PLAIN, SCENARIOS
from mmseg_tfovss.whole_file import whole_file

RESULT_NAME, MARKDOWN_NAME, PICTURE_NAME = "hypothesis.json", "hypothesis.md", "hypothesis.png"
NAMES = (RESULT_NAME, MARKDOWN_NAME, PICTURE_NAME)
Result = Mapping[str, Any]
_SEEN = {PLAIN: "nothing", LOGITS: "nothing", LOGITS_PRESENT: "classes of the image"}
_CONSISTENCY = {
    "eta_squared": "variance between the class's patches and others / variance of all",
    "within": "standard deviation among the class's patches",
    "difference": "mean over the class's patches - mean over others",
}


def write_report(result: Result, folder: Path) -> None:
    """Write every file of :data:`NAMES`.

    Args:
        result: of :func:`mmseg_tfovss.studies.hypothesis.study.analyse`.
        folder: where they are written.
    """
    with whole_file(folder / RESULT_NAME) as scratch:
        scratch.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with whole_file(folder / MARKDOWN_NAME) as scratch:
        scratch.write_text(to_markdown(result), encoding="utf-8")
    with whole_file(folder / PICTURE_NAME) as scratch:
        draw_bars(result).savefig(scratch)


def to_markdown(result: Result) -> str:
    """Two tables, and how to read them."""
    lines = [
        f"# {_title(result)}",
        "",
        "An analysis with ground truth, after Section 3.3 of DSLO; no result of a method.",
        "",
        "| Discrepancy | Looks at | mIoU | pAcc |",
        "|---|---|---:|---:|",
    ]
    for name, label in SCENARIOS.items():
        scores = result["scenarios"][name]
        seen = _SEEN.get(name, "the annotation")
        lines.append(f"| {label} | {seen} | {scores['mIoU']:.2f} | {scores['pAcc']:.2f} |")
    consistency = result["consistency"]
    lines += [
        "",
        f"NMS at theta = {result['theta']:g} leaves one class at most in {_percent(result)} of the patches, where no"
        f" discrepancy can change anything. The ground truth has {100 * result['smoothing']:g}% of uniform mass.",
        "",
        f"Logits -> uniform, each map brought to [0, 1], mean of {consistency['classes']} classes"
        f" ({consistency['maps']} maps):",
        "",
        "| Consistency | Value |",
        "|---|---:|",
        *(f"| {label} | {_value(consistency[name])} |" for name, label in _CONSISTENCY.items()),
    ]
    return "\n".join(lines) + "\n"


def draw_bars(result: Result) -> Figure:
    """The scenarios' mIoU, and the consistency of the discrepancy."""
    figure = Figure((9.5, 3.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(_title(result), fontsize=11)
    left, right = figure.subplots(1, 2, width_ratios=(1.6, 1))
    labels = [label.replace(" -> ", "\n-> ").replace(", ", ",\n") for label in SCENARIOS.values()]
    heights = [result["scenarios"][name]["mIoU"] for name in SCENARIOS]
    colours = ["tab:blue" if name in _SEEN else "tab:orange" for name in SCENARIOS]
    bars = left.bar(range(len(labels)), heights, color=colours)
    left.bar_label(bars, fmt="%.1f", fontsize=9)
    left.set_xticks(range(len(labels)), labels, fontsize=8)
    left.set_title(f"orange: with ground truth; one class at most in {_percent(result)} of patches", fontsize=9)
    left.set(ylabel="mIoU (%)", ylim=(0, max(*heights, 1) * 1.15))
    values = [result["consistency"][name] for name in _CONSISTENCY]
    bars = right.bar(range(len(values)), [value or 0 for value in values], color="tab:green")
    right.bar_label(bars, labels=[_value(value) for value in values], fontsize=9)
    right.set_xticks(range(len(values)), ["eta squared", "std within\nthe class", "class less\nothers"], fontsize=8)
    right.set_title("consistency of logits -> uniform", fontsize=9)
    right.margins(y=0.15)
    return figure


def _title(result: Result) -> str:
    return f"{result['config']}: the hypothesis on {result['images']} images of {result['dataset']}"


def _percent(result: Result) -> str:
    return f"{100 * result['patches_of_one_class']:.1f}%"


def _value(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
