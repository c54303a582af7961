"""Arrange results as the leaderboard's tables: averages, places, published numbers beside ours, and notes."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from statistics import fmean

from mmseg_tfovss.evaluation.result import PROTOCOLS, Result
from mmseg_tfovss.leaderboard.board import (
    NOT_STATED,
    PUBLISHED,
    Board,
    Cell,
    Line,
    Mark,
    Section,
    kind_of,
)
from mmseg_tfovss.leaderboard.columns import AVERAGES, PLAIN_AVERAGE, column_place, dataset_of
from mmseg_tfovss.leaderboard.labels import tell_apart
from mmseg_tfovss.leaderboard.leaves import strays_by
from mmseg_tfovss.leaderboard.notes import notes_of
from mmseg_tfovss.leaderboard.parts import column_titles
from mmseg_tfovss.leaderboard.published import JOIN, Published, counterpart_of, full_source
from mmseg_tfovss.leaderboard.results import Collected
from mmseg_tfovss.leaderboard.run import Run, changes, image_count, is_partial, own_overrides

_MARKS: tuple[Mark, ...] = ("best", "second")
_DIGITS = 2  # of what is printed, and therefore of what is compared


def make_board(collected: Collected, published: Sequence[Published] = ()) -> Board:
    """Arrange results, and published numbers, as tables; results over a part of a benchmark have their own.

    Args:
        collected: of :func:`~mmseg_tfovss.leaderboard.results.collect_results`.
        published: of :func:`~mmseg_tfovss.leaderboard.published.published_numbers`; they stand beside our
            numbers where these repeat them, and in a table of their own.

    Returns:
        The tables.
    """
    runs = _told_apart(collected.runs)
    sections = []
    for protocol, is_part in product(PROTOCOLS, (False, True)):
        wanted = (protocol, is_part)
        chosen = [run for run in runs if (run.result["protocol"], is_partial(run.result)) == wanted]
        if chosen:
            sections.append(replace(_our_section(protocol, _our_lines(chosen, published)), is_part=is_part))
    if published:
        sections.append(_published_section(_published_lines(published)))
    board = Board(tuple(sections), runs, collected.left_out, (), tuple(published))
    return replace(board, notes=tuple(notes_of(board)))


def _told_apart(runs: Sequence[Run]) -> tuple[Run, ...]:
    columns = column_titles([run.result for run in runs])
    named: list[Result] = [
        {**run.result, "dataset": column, "overrides": own_overrides(run.result)}
        for run, column in zip(runs, columns, strict=True)
    ]
    told = zip(runs, tell_apart(named), columns, strict=True)
    return tuple(replace(run, differences=label, column=column) for run, label, column in told)


def _our_lines(runs: Sequence[Run], published: Sequence[Published]) -> list[Line]:
    groups: dict[tuple[object, ...], dict[str, Run]] = {}
    for run in runs:
        result = run.result
        names = (result["method"], result["backbone"], result["setting"], result["precision"])
        key = (*names, tuple(sorted(own_overrides(result).items())), run.differences)
        again = 0  # two results of one run, where nobody has looked for them: neither takes the other's place
        while run.title in groups.setdefault((*key, again), {}):
            again += 1
        groups[(*key, again)][run.title] = run
    return [_our_line(group, published) for group in groups.values()]


def _our_line(runs: Mapping[str, Run], published: Sequence[Published]) -> Line:
    first = next(iter(runs.values()))
    result = first.result
    return Line(
        method=result["method"],
        backbone=result["backbone"],
        setting=" ".join(filter(None, (result["setting"], changes(result, first.differences)))),
        precision=result["precision"],
        kind=kind_of(result["backbone"]),
        cells={column: _cell(run, published) for column, run in runs.items()},
        ranked=not own_overrides(result),
        images="; ".join(dict.fromkeys(image_count(run.result) for run in runs.values() if is_partial(run.result))),
    )


def _cell(run: Run, published: Sequence[Published]) -> Cell:
    printed = counterpart_of(run, published)
    printed = None if printed and strays_by(run.result) else printed
    return Cell(
        value=run.result["metrics"]["mIoU"],
        published=printed.scores["mIoU"] if printed else "",
        source=full_source([printed]) if printed else "",
    )


def _published_lines(published: Sequence[Published]) -> list[Line]:
    groups = defaultdict(list)
    for number in published:
        groups[number.method, number.backbone, number.setting, number.source].append(number)
    lines = []
    for (method, backbone, setting, _), group in groups.items():
        cells = {n.dataset: Cell(float(n.scores["mIoU"]), printed=n.scores["mIoU"]) for n in group}
        lines.append(
            Line(
                method=method,
                backbone=backbone,
                setting=setting,
                precision="",
                kind=kind_of(backbone) if JOIN in backbone else NOT_STATED,
                cells={**cells, **_printed_average(group)},
                ranked=False,
                source=full_source(group),
            )
        )
    return lines


def _printed_average(numbers: Sequence[Published]) -> dict[str, Cell]:
    """What the source prints as the mean of one of the groups that are averaged here, if all of it is shown."""
    average, averaged = numbers[0].average, set(numbers[0].averaged)
    if not average or not averaged <= {number.dataset for number in numbers}:
        return {}
    return {title: Cell(float(average), printed=average) for title, group in AVERAGES.items() if averaged == set(group)}


def _our_section(name: str, lines: Sequence[Line]) -> Section:
    datasets = _datasets(lines)
    groups: dict[str, Sequence[str]] = {
        title: group for title, group in AVERAGES.items() if any(_has_all(line, group) for line in lines)
    }
    if not groups and any(_has_all(line, datasets) for line in lines):
        groups = _plain_average(datasets, {line.images for line in lines})
    averaged = [_with_averages(line, groups) for line in lines]
    return _with_sources(_ordered(name, averaged, datasets, tuple(groups)))


def _plain_average(datasets: Sequence[str], images: Collection[str]) -> dict[str, Sequence[str]]:
    """The mean of all columns, of several datasets over as many images each; its title says how many if not all."""
    [part] = images if len(images) == 1 else [""]
    names = {dataset_of(title) for title in datasets}
    if not 1 < len(datasets) == len(names) or len(images) > 1 or ";" in part:
        return {}
    return {f"{PLAIN_AVERAGE} ({part})" if part else PLAIN_AVERAGE: datasets}


def _published_section(lines: Sequence[Line]) -> Section:
    titles = tuple(title for title in AVERAGES if any(title in line.cells for line in lines))
    return _ordered(PUBLISHED, lines, _datasets(lines), titles)


def _datasets(lines: Sequence[Line]) -> tuple[str, ...]:
    return tuple(sorted({name for line in lines for name in line.cells if name not in AVERAGES}, key=column_place))


def _ordered(name: str, lines: Sequence[Line], datasets: tuple[str, ...], averages: tuple[str, ...]) -> Section:
    ordered = sorted(lines, key=lambda line: _standing(line, datasets))
    return Section(name, datasets, averages, tuple(_with_marks(ordered, (*datasets, *averages))))


def _with_sources(section: Section) -> Section:
    """Number the sources of the published values in the order in which they appear."""
    numbers: dict[str, int] = {}
    lines = []
    for line in section.lines:
        cells = dict(line.cells)
        for column in section.datasets:
            if column in cells and cells[column].source:
                number = numbers.setdefault(cells[column].source, len(numbers) + 1)
                cells[column] = replace(cells[column], reference=number)
        lines.append(replace(line, cells=cells))
    return replace(section, lines=tuple(lines), sources=tuple(numbers))


def _has_all(line: Line, datasets: Iterable[str]) -> bool:
    return all(name in line.cells for name in datasets)


def _with_averages(line: Line, groups: Mapping[str, Sequence[str]]) -> Line:
    means = {
        title: Cell(fmean(line.cells[name].value for name in group))
        for title, group in groups.items()
        if _has_all(line, group)
    }
    return replace(line, cells={**line.cells, **means})


def _standing(line: Line, datasets: Sequence[str]) -> tuple[object, ...]:
    """Rows with more columns first, then those with the higher mean; names decide the rest."""
    values = [line.cells[name].value for name in datasets if name in line.cells]
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
    return line.ranked and column in line.cells


def _rounded(line: Line, column: str) -> float:
    return round(line.cells[column].value, _DIGITS)
