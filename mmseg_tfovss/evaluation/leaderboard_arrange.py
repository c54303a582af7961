"""Arrange results as the leaderboard's tables: averages, places, published numbers beside ours, and notes."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Literal

from mmseg_tfovss.evaluation.leaderboard_board import (
    AVERAGES,
    MORE_NETWORKS,
    NOT_STATED,
    PLAIN_AVERAGE,
    POCKET_NOTE,
    PUBLISHED,
    Board,
    Cell,
    Line,
    Mark,
    Section,
    dataset_place,
    kind_of,
)
from mmseg_tfovss.evaluation.leaderboard_published import JOIN, Published, counterpart
from mmseg_tfovss.evaluation.leaderboard_results import Collected, changes, image_count, is_partial
from mmseg_tfovss.evaluation.result import PROTOCOLS, Result

_MARKS: tuple[Mark, ...] = ("best", "second")
_DIGITS = 2  # of what is printed, and therefore of what is compared
_MARKS_NOTE = (
    "Best bold, second underlined: per protocol, among complete results without changes from the command line."
)
_PARTIAL_NOTE = (
    "In parentheses: a result of another number of images than the benchmark has; neither ranked nor averaged."
)
_BESIDE_NOTE = (
    "After a number: what the source prints for the same method, backbone and setting under the paper protocol, and"
    " ours minus that."
)
_PUBLISHED_NOTE = (
    "Published numbers were measured by others, under their protocols; averages are of the printed numbers."
)


def make_board(collected: Collected, published: Sequence[Published] = ()) -> Board:
    """Arrange results, and published numbers, as tables.

    Args:
        collected: of :func:`~mmseg_tfovss.evaluation.leaderboard_results.collect_results`.
        published: of :func:`~mmseg_tfovss.evaluation.leaderboard_published.published_numbers`; they stand beside our
            numbers where these repeat them, and in a table of their own.

    Returns:
        The tables.
    """
    sections = []
    for protocol in PROTOCOLS:
        results = [result for result in collected.results if result["protocol"] == protocol]
        if results:
            sections.append(_section(protocol, _our_lines(results, published)))
    if published:
        sections.append(_section(PUBLISHED, _published_lines(published)))
    board = Board(tuple(sections), collected.runs, collected.left_out, (), tuple(published))
    return replace(board, notes=tuple(_notes(board)))


def _our_lines(results: Sequence[Result], published: Sequence[Published]) -> list[Line]:
    groups = defaultdict(list)
    for result in results:
        setting = " ".join(filter(None, (result["setting"], f"({changes(result)})" if result["overrides"] else "")))
        exact = str(sorted(result["overrides"].items()))  # two changes may look the same when short
        groups[result["method"], result["backbone"], setting, result["precision"], exact].append(result)
    return [
        Line(
            method=method,
            backbone=backbone,
            setting=setting,
            precision=precision,
            kind=kind_of(backbone),
            cells={result["dataset"]: _cell(result, published) for result in group},
            ranked=not group[0]["overrides"],
        )
        for (method, backbone, setting, precision, _), group in groups.items()
    ]


def _cell(result: Result, published: Sequence[Published]) -> Cell:
    printed = counterpart(result, published)
    return Cell(
        value=result["metrics"]["mIoU"],
        partial=image_count(result) if is_partial(result) else "",
        published=printed.scores["mIoU"] if printed else "",
        source=printed.source if printed else "",
    )


def _published_lines(published: Sequence[Published]) -> list[Line]:
    groups = defaultdict(list)
    for number in published:
        groups[number.method, number.backbone, number.setting, number.source].append(number)
    lines = []
    for (method, backbone, setting, source), group in groups.items():
        notes = sorted({number.note for number in group if number.note})
        lines.append(
            Line(
                method=method,
                backbone=backbone,
                setting=setting,
                precision="",
                kind=MORE_NETWORKS if JOIN in backbone else NOT_STATED,
                cells={n.dataset: Cell(float(n.scores["mIoU"]), printed=n.scores["mIoU"]) for n in group},
                ranked=False,
                source="; ".join((source, *notes)),
            )
        )
    return lines


def _section(name: str, lines: Sequence[Line]) -> Section:
    datasets = tuple(sorted({dataset for line in lines for dataset in line.cells}, key=dataset_place))
    groups = {title: group for title, group in AVERAGES.items() if any(_has_all(line, group) for line in lines)}
    if not groups and len(datasets) > 1 and any(_has_all(line, datasets) for line in lines):
        groups = {PLAIN_AVERAGE: datasets}
    averaged = [_with_averages(line, groups) for line in lines]
    ordered = sorted(averaged, key=lambda line: _standing(line, datasets))
    columns = (*datasets, *groups)
    return Section(name, datasets, tuple(groups), tuple(_with_marks(ordered, columns)))


def _has_all(line: Line, datasets: Iterable[str]) -> bool:
    return all(name in line.cells and not line.cells[name].partial for name in datasets)


def _with_averages(line: Line, groups: Mapping[str, Sequence[str]]) -> Line:
    means = {
        title: Cell(fmean(line.cells[name].value for name in group))
        for title, group in groups.items()
        if _has_all(line, group)
    }
    return replace(line, cells={**line.cells, **means})


def _standing(line: Line, datasets: Sequence[str]) -> tuple[object, ...]:
    """Rows with more columns first, then those with the higher mean; names decide the rest."""
    values = [line.cells[name].value for name in datasets if name in line.cells and not line.cells[name].partial]
    mean = fmean(values) if values else 0.0
    return (-len(values), -mean, line.method, line.backbone, line.setting, line.precision, line.source)


def _with_marks(lines: Sequence[Line], columns: Sequence[str]) -> list[Line]:
    """Mark the two highest numbers of each column, as printed; equal ones alike, and none where only one row counts."""
    marks: dict[str, dict[float, Mark]] = {}
    for column in columns:
        values = [_rounded(line, column) for line in lines if _counts(line, column)]
        places = sorted(set(values), reverse=True)[: len(_MARKS)] if len(values) > 1 else []
        marks[column] = dict(zip(places, _MARKS, strict=False))
    return [
        replace(
            line,
            cells={
                column: replace(
                    cell, mark=marks[column].get(_rounded(line, column), "") if _counts(line, column) else ""
                )
                for column, cell in line.cells.items()
            },
        )
        for line in lines
    ]


def _counts(line: Line, column: str) -> bool:
    return line.ranked and column in line.cells and not line.cells[column].partial


def _rounded(line: Line, column: str) -> float:
    return round(line.cells[column].value, _DIGITS)


def _notes(board: Board) -> list[str]:
    cells = [cell for section in board.sections for line in section.lines for cell in line.cells.values()]
    results = [run.result for run in board.runs]
    candidates = (
        (_MARKS_NOTE, any(cell.mark for cell in cells)),
        (_PARTIAL_NOTE, any(cell.partial for cell in cells)),
        (_BESIDE_NOTE, any(cell.published for cell in cells)),
        (_PUBLISHED_NOTE, bool(board.published)),
        (POCKET_NOTE, any(result["dataset"].startswith("pocket") for result in results)),
    )
    unified = [result for result in results if result["protocol"] == "unified" and not result["overrides"]]
    return [
        *(text for text, needed in candidates if needed),
        *_mixed(results, lambda r: f"{r['method']} on {r['backbone']}", "weights_hash", "different weights"),
        *_mixed(unified, lambda r: f"{r['dataset']} (unified)", "vocabulary_hash", "different class lists"),
    ]


def _mixed(
    results: Sequence[Result],
    subject: Callable[[Result], str],
    key: Literal["weights_hash", "vocabulary_hash"],
    of: str,
) -> list[str]:
    """Warn where results under one name differ in something that they should share."""
    found = defaultdict(set)
    for result in results:
        found[subject(result)].add(result[key])
    return [
        f"Careful: results of {name} have {len(hashes)} {of}: they are not comparable."
        for name, hashes in sorted(found.items())
        if len(hashes) > 1
    ]
