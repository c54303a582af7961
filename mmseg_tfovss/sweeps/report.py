"""What people look at after a sweep: the best combination, a Markdown table, and a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mmseg_tfovss.plain import one_line
from mmseg_tfovss.sweeps.picture import PICTURE_NAME, draw_sweep
from mmseg_tfovss.sweeps.table import CONFIG, DATASET, ERROR, MARKDOWN_NAME, Row, to_markdown
from mmseg_tfovss.sweeps.values import value_label
from mmseg_tfovss.whole_file import whole_file

_SCORE = "mIoU"


def write_report(rows: Sequence[Row], swept: Mapping[str, Sequence[object]], folder: Path, name: str) -> list[Path]:
    """Write ``sweep.md``; and ``sweep.png`` if one or two things have several values.

    Args:
        rows: of :func:`mmseg_tfovss.sweeps.run.sweep`.
        swept: values by option.
        folder: of the sweep.
        name: what was swept.

    Returns:
        The files.
    """
    images = sorted({int(row["images"]) for row in rows if row["images"]})
    title = f"{name}, {' / '.join(map(str, images))} images" if images else name
    written = [folder / MARKDOWN_NAME]
    with whole_file(written[0]) as scratch:
        scratch.write_text(to_markdown(rows, title), encoding="utf-8")
    axes = find_axes(rows, swept)
    if 1 <= len(axes) <= 2:
        scores = _array(rows, axes)
        written.append(folder / PICTURE_NAME)
        with whole_file(written[-1]) as scratch:
            draw_sweep(axes, scores, _SCORE, title).savefig(scratch)
    return written


def find_axes(rows: Sequence[Row], swept: Mapping[str, Sequence[object]]) -> dict[str, Sequence[object]]:
    """What has several values, as far as the rows are a complete grid of it."""
    axes: dict[str, Sequence[object]] = {}
    for column in (CONFIG, DATASET):
        if column in rows[0]:
            axes[column] = list(dict.fromkeys(row[column] for row in rows))
    axes = {name: values for name, values in {**axes, **swept}.items() if len(values) > 1}
    cells = int(np.prod([len(values) for values in axes.values()]))
    return axes if cells == len(rows) else {}


def _array(rows: Sequence[Row], axes: Mapping[str, Sequence[object]]) -> np.ndarray:
    """The rows' scores, one axis per thing; NaN where a combination has failed."""
    places = {name: [value_label(value) for value in values] for name, values in axes.items()}
    scores = np.full([len(values) for values in places.values()], np.nan)
    for row in rows:
        if row[_SCORE]:
            scores[tuple(values.index(row[name]) for name, values in places.items())] = float(row[_SCORE])
    return scores


def best_lines(rows: Sequence[Row], swept: Mapping[str, Sequence[object]]) -> list[str]:
    """The best combination of each dataset, in a sentence each."""
    finished = [row for row in rows if not row[ERROR]]
    lines = []
    for dataset in dict.fromkeys(row.get(DATASET, "") for row in finished):
        best = max((row for row in finished if row.get(DATASET, "") == dataset), key=lambda row: float(row[_SCORE]))
        values = ", ".join(f"{key}={best[key]}" for key in (CONFIG, *swept) if key in best)
        where = f" on {dataset}" if dataset else ""
        lines.append(one_line(f"Best {_SCORE}{where}: {float(best[_SCORE]):.2f} with {values}"))
    return lines
