"""The leaderboard as Markdown and comma-separated values."""

import csv
import io
from collections.abc import Callable, Sequence

from mmseg_tfovss.evaluation.result import Result
from mmseg_tfovss.leaderboard.board import PUBLISHED, Board, Cell, Line, Section
from mmseg_tfovss.leaderboard.check import SCORES
from mmseg_tfovss.leaderboard.published import Published, full_source
from mmseg_tfovss.leaderboard.run import Run, assumptions_of, changes, commit_of, image_count, package_of
from mmseg_tfovss.plain import csv_cell, escape_markdown, one_line, printable

COLUMNS = ("Dataset", "Protocol", "Method", "Backbone", "Precision", *SCORES, "Images", "s / image")
NAMES = ("Method", "Backbone", "Setting", "Precision")
PUBLISHED_NAMES = ("Method", "Backbone", "Setting", "Source")
Row = tuple[str, ...]
_PROVENANCE = ("Commit", "Finished", "File", "Assumptions", "Package", "Settings", "Weights", "Words")
_RUN_COLUMNS = (*COLUMNS, *_PROVENANCE)


def leaderboard_rows(results: Sequence[Result]) -> list[Row]:
    """One row of text per result, in the order of :data:`COLUMNS`; every cell is one printable line."""
    return [_row(result, ()) for result in results]


def run_rows(runs: Sequence[Run]) -> list[Row]:
    """The same for runs, whose protocol also tells what makes them different from others."""
    return [_row(run.result, run.differences) for run in runs]


def _row(result: Result, differences: tuple[str, ...]) -> Row:
    protocol = ", ".join(filter(None, (result["protocol"], result["setting"])))
    # Such a row must not pass for the protocol's own.
    protocol = " ".join(filter(None, (protocol, changes(result, differences))))
    cells = (
        result["dataset"],
        protocol,
        result["method"],
        result["backbone"],
        result["precision"],
        *(f"{result['metrics'][name]:.2f}" for name in SCORES),
        image_count(result),
        f"{result['seconds_per_image']:.3f}",
    )
    return tuple(map(one_line, cells))


def published_rows(published: Sequence[Published]) -> list[Row]:
    """One row of text per published number, in the order of :data:`COLUMNS`; its source stands for the protocol."""
    return [
        (
            number.dataset,
            f"{', '.join(filter(None, ('published', number.setting)))}: {full_source([number])}",
            number.method,
            number.backbone,
            "",
            *(number.scores.get(name, "") for name in SCORES),
            "",
            "",
        )
        for number in published
    ]


def line_names(section: Section, line: Line) -> Row:
    """The cells of a row that hold names, in the order of :func:`name_columns`; every cell is one printable line."""
    last = line.source if section.name == PUBLISHED else line.precision
    return tuple(map(one_line, (line.method, line.backbone, line.setting, last)))


def name_columns(section: Section) -> Row:
    """Titles of the columns that hold names."""
    return PUBLISHED_NAMES if section.name == PUBLISHED else NAMES


def beside(cell: Cell) -> str:
    """The published value, the difference to it and the number of its source; or nothing."""
    if not cell.published:
        return ""
    return f"paper {', '.join(filter(None, (cell.published, difference(cell))))} [{cell.reference}]"


def difference(cell: Cell | None) -> str:
    """Ours minus the published value, with its sign; empty where there is none."""
    return f"{cell.difference:+.2f}" if cell and cell.difference is not None else ""


def numbered(section: Section) -> list[str]:
    """The sources of the published values beside ours, for below the table."""
    return [f"[{number}] {source}" for number, source in enumerate(section.sources, 1)]


def refused(board: Board) -> list[tuple[str, str]]:
    """Files that do not count, or not fully, each with what is wrong with it."""
    incomplete = [(printable(run.path), f"is partial: {image_count(run.result)} images") for run in board.incomplete]
    return [*((printable(item.path), one_line(item.reason)) for item in board.left_out), *incomplete]


def to_markdown(board: Board) -> str:
    """Tables, notes, every run, and what does not count."""
    parts = ["# Leaderboard", "mIoU in percent.", *(escape_markdown(note) for note in board.notes)]
    for section in board.sections:
        header = tuple(map(escape_markdown, (*name_columns(section), *section.columns)))
        rows = [
            (*map(escape_markdown, line_names(section, line)), *cells_of(section, line, _markdown_cell))
            for line in section.lines
        ]
        sources = [f"- {escape_markdown(source)}" for source in numbered(section)]
        parts += [f"## {section.title}", _markdown_table(header, rows)]
        parts += ["\n".join(sources)] if sources else []
    every = zip(run_rows(board.runs), board.runs, strict=True)
    rows = [tuple(map(escape_markdown, (*row, commit_of(run.result)))) for row, run in every]
    if rows:
        parts += ["## Every run", _markdown_table((*COLUMNS, "Commit"), rows)]
    wrong = [f"- {escape_markdown(path)} {escape_markdown(reason)}" for path, reason in refused(board)]
    if wrong:
        parts += ["## Does not count", "\n".join(wrong)]
    return "\n\n".join(parts) + "\n"


def to_csv(board: Board) -> str:
    """The tables of all protocols under one header.

    A dataset of which a published number stands beside one of ours has three more columns, ``<dataset> published``,
    ``<dataset> difference`` and ``<dataset> source``. A row over a part of the images
    says so in the column ``Partial`` ("50 of 200"), and its numbers are in columns of their own. Texts that
    a spreadsheet would take for a formula have an apostrophe before them; numbers are numbers, see
    :func:`~mmseg_tfovss.plain.csv_cell`.
    """
    columns = list(dict.fromkeys(column for section in board.sections for column in section.columns))
    lines = [line for section in board.sections for line in section.lines]
    cells = [(column, cell) for line in lines for column, cell in line.cells.items()]
    compared = [title for title in columns if any(name == title and cell.published for name, cell in cells)]
    header = ["Protocol", *NAMES, "Kind", *columns]
    header += [f"{column} {what}" for column in compared for what in ("published", "difference", "source")]
    rows = [[*header, "Partial", "Source"]]
    for section in board.sections:
        for line in section.lines:
            row = [section.name, line.method, line.backbone, line.setting, line.precision, line.kind]
            row += [_number(line.cells.get(column)) for column in columns]
            for column in compared:
                cell = line.cells.get(column)
                row += [cell.published, difference(cell), cell.source] if cell else ["", "", ""]
            rows.append([*row, line.images, line.source])
    return _csv(rows)


def to_runs_csv(board: Board) -> str:
    """Every result with all scores and where it comes from, then every published number.

    ``Assumptions`` are what a run had to take for granted of its weights; ``Package`` is what was installed; the last
    columns are the hashes that tell runs apart. Formulas are dealt with as in :func:`to_csv`.
    """
    return _csv([_RUN_COLUMNS, *(_run_row(run) for run in board.runs), *_published_run_rows(board.published)])


def cells_of(section: Section, line: Line, show: Callable[[Cell], str]) -> list[str]:
    """The cells of a row that hold numbers; empty where there is none."""
    return [show(line.cells[column]) if column in line.cells else "" for column in section.columns]


def _markdown_cell(cell: Cell) -> str:
    value = {"": "{}", "best": "**{}**", "second": "<u>{}</u>"}[cell.mark].format(cell.text)
    return f"{value} ({escape_markdown(beside(cell))})" if cell.published else value


def _markdown_table(header: Row, rows: Sequence[Sequence[str]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _number(cell: Cell | None) -> str:
    return cell.text if cell else ""


def _run_row(run: Run) -> Row:
    [row] = run_rows([run])
    result = run.result
    return (
        *row,
        result["git_commit"] or "",
        result["finished_at"],
        printable(run.path),
        "; ".join(assumptions_of(result)),
        package_of(result),
        *(result[name] for name in ("config_hash", "weights_hash", "vocabulary_hash")),
    )


def _published_run_rows(published: Sequence[Published]) -> list[Row]:
    return [(*row, *("" for _ in _PROVENANCE)) for row in published_rows(published)]


def _csv(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([list(map(csv_cell, row)) for row in rows])
    return text.getvalue()
