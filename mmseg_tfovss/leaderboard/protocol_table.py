"""The table of one protocol on the leaderboard's page: methods down, datasets and their averages across."""

from collections.abc import Sequence

from mmseg_tfovss.leaderboard.board import PUBLISHED, USUAL_PRECISION, Cell, Line, Section
from mmseg_tfovss.leaderboard.tags import (
    NAME,
    NUMBER,
    SECONDARY,
    Column,
    escape,
    name_cell,
    row_start,
    row_title,
    table,
)
from mmseg_tfovss.leaderboard.text import difference, line_names, name_columns, numbered

_MANY = 6  # columns of numbers: beside more, the names' columns begin folded on usual screens too
_MARKS = {"": "{}", "best": "<b>{}</b>", "second": "<u>{}</u>"}
_SIGNS = {"best": "★", "second": "☆"}  # so that neither weight nor colour is all that says it


def protocol_table(section: Section) -> str:
    """A section with the table, and the sources of the published numbers in it."""
    first, *others = name_columns(section)
    averages, others_last = _averages(section)
    order = (*averages, *section.datasets, *others_last)
    columns = [
        Column(first, NAME),
        *(Column(title, NAME + SECONDARY) for title in others),
        *(Column(title, NUMBER) for title in order),
    ]
    rows = [_row(section, line, order) for line in section.lines]
    sources = "".join(f'<li id="{section.name}-{n}">{escape(text)}</li>' for n, text in enumerate(numbered(section), 1))
    below = f'<ul class="sources">{sources}</ul>' if sources else ""
    kind = " published" if section.name == PUBLISHED else ""
    kind += " many" if len(section.columns) > _MANY else ""
    return f'<section class="protocol{kind}">{table(section.title, columns, rows)}{below}</section>'


def _averages(section: Section) -> tuple[list[str], list[str]]:
    """Averages before the datasets, beside many of which they would be out of sight, and those that few rows have."""
    counts = {name: sum(name in line.cells for line in section.lines) for name in section.averages}
    usual = [name for name, count in counts.items() if 2 * count >= len(section.lines)]
    return usual, [name for name in counts if name not in usual]


def _row(section: Section, line: Line, order: Sequence[str]) -> str:
    method, *others = line_names(section, line)
    precision = "" if line.precision == USUAL_PRECISION else line.precision
    names = row_title(method, line.backbone, line.setting, precision) + "".join(map(name_cell, others))
    kinds = dict.fromkeys(section.averages, f"{NUMBER} average")
    numbers = [_number(line.cells.get(name), section.name, kinds.get(name, NUMBER)) for name in order]
    return row_start(section.name, line.backbone, line.kind, line.method) + names + "".join(numbers) + "</tr>"


def _number(cell: Cell | None, name: str, kind: str = NUMBER) -> str:
    if cell is None:
        return f'<td class="{kind} absent"></td>'
    value = _sign(cell) + _MARKS[cell.mark].format(cell.text)
    if cell.published:
        value += f" <small>{_beside(cell, name)}</small>"
    return f'<td class="{kind}" data-value="{cell.value!r}">{value}</td>'


def _sign(cell: Cell) -> str:
    if not cell.mark:
        return ""
    return f'<span class="mark" role="img" aria-label="{cell.mark}" title="{cell.mark}">{_SIGNS[cell.mark]}</span>'


def _beside(cell: Cell, name: str) -> str:
    """The published value, the difference to it in the colour of its sign, and the number of its source."""
    value = difference(cell)
    number = f'<a href="#{name}-{cell.reference}" title="{escape(cell.source)}">[{cell.reference}]</a>'
    sign = {"+": "above", "-": "below"}.get(value[:1], "")
    change = f'<b class="{sign}">{value}</b>' if sign else value
    return f"<span>paper {escape(cell.published)}</span> <span>{' '.join(filter(None, (change, number)))}</span>"
