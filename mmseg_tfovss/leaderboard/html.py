"""The leaderboard as one HTML page that needs nothing else: sortable, with filters and heat maps of classes."""

import base64
import hashlib
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from mmseg_tfovss.leaderboard.board import (
    MORE_NETWORKS,
    NOT_STATED,
    ONE_NETWORK,
    PUBLISHED,
    Board,
    Cell,
    Section,
)
from mmseg_tfovss.leaderboard.heat import heat_maps
from mmseg_tfovss.leaderboard.page import SCRIPT, STYLE
from mmseg_tfovss.leaderboard.run import Run, commit_of
from mmseg_tfovss.leaderboard.tags import escape, row_of, row_start
from mmseg_tfovss.leaderboard.text import (
    COLUMNS,
    TITLES,
    difference,
    line_names,
    name_columns,
    numbered,
    refused,
    run_rows,
)

_FIRST_NUMBER = 5  # of COLUMNS
_MARKS = {"": "{}", "best": "<b>{}</b>", "second": "<u>{}</u>"}
_KINDS = (ONE_NETWORK, MORE_NETWORKS, NOT_STATED)


def to_html(board: Board, folder: Path, reload_seconds: float | None = None) -> str:
    """A page with the tables of all protocols, every run, and a heat map of the classes of each dataset.

    Args:
        board: what to show; every text in it is escaped.
        folder: where the page will be, for links to result files and overlays.
        reload_seconds: the page loads itself again after so many seconds: for boards that change meanwhile.

    Returns:
        The page. It works from a file, loads nothing, and runs no script but its own.
    """
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}';"
        " base-uri 'none'; form-action 'none'"
    )
    sections = "\n".join(_section(section) for section in board.sections)
    notes = "\n".join(f"<p>{escape(note)}</p>" for note in board.notes)
    # The start of the policy allows no request; loading the same page again is none.
    refresh = f'<meta http-equiv="refresh" content="{math.ceil(reload_seconds)}">\n' if reload_seconds else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
{refresh}<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>Leaderboard</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>Leaderboard</h1>
<p>mIoU in percent. Click a column's title to sort, a third time for the first order.</p>
{notes}
{_wrong(board)}
</header>
{_filters(board)}
<main>
{sections}
{heat_maps(board.runs)}
{_runs(board.runs, folder)}
</main>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _wrong(board: Board) -> str:
    items = [f"<li><code>{escape(path)}</code> {escape(reason)}</li>" for path, reason in refused(board)]
    if not items:
        return ""
    title = "1 result does not count" if len(items) == 1 else f"{len(items)} results do not count"
    return f'<details class="wrong" open><summary>{title}</summary><ul>{"".join(items)}</ul></details>'


def _filters(board: Board) -> str:
    lines = [line for section in board.sections for line in section.lines]
    kinds = {line.kind for line in lines}
    choices: dict[str, Sequence[str]] = {
        "protocol": [section.name for section in board.sections],
        "backbone": sorted({line.backbone for line in lines}),
        "kind": [kind for kind in _KINDS if kind in kinds],
    }
    selects = "\n".join(_select(name, values) for name, values in choices.items())
    return (
        f'<form class="filters" role="search" aria-label="Filters" hidden>\n{selects}\n'
        '<label>method <input type="search" name="method" placeholder="part of a name" autocomplete="off"></label>\n'
        '<button type="reset">show all</button> <output aria-live="polite"></output>\n</form>'
    )


def _select(name: str, values: Iterable[str]) -> str:
    options = "".join(f'<option value="{escape(value)}">{escape(value)}</option>' for value in values)
    return f'<label>{name} <select name="{name}"><option value="">all</option>{options}</select></label>'


def _head(names: Sequence[str], numbers: Sequence[str]) -> str:
    def cell(title: str, kind: str) -> str:
        return f'<th scope="col" class="{kind}"><button type="button">{escape(title)}</button></th>'

    cells = "".join(cell(title, "name") for title in names) + "".join(cell(title, "number") for title in numbers)
    return f"<thead><tr>{cells}</tr></thead>"


def _table(caption: str, head: str, rows: Sequence[str]) -> str:
    body = "\n".join(rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table class="sortable">'
        f"<caption>{escape(caption)}</caption>{head}<tbody>\n{body}\n</tbody></table></div>"
    )


def _section(section: Section) -> str:
    rows = []
    for line in section.lines:
        first, *others = line_names(section, line)
        names = f'<th scope="row"><div class="text">{escape(first)}</div></th>' + "".join(map(_name, others))
        numbers = "".join(_number(line.cells.get(name), "number average") for name in section.averages)
        numbers += "".join(_number(line.cells.get(name)) for name in section.datasets)
        rows.append(row_start(section.name, line.backbone, line.kind, line.method) + names + numbers + "</tr>")
    # Averages first: beside many datasets they would be out of sight.
    head = _head(name_columns(section), (*section.averages, *section.datasets))
    sources = "".join(f"<li>{escape(source)}</li>" for source in numbered(section))
    below = f'<ul class="sources">{sources}</ul>' if sources else ""
    kind = " published" if section.name == PUBLISHED else ""
    return f'<section class="protocol{kind}">{_table(TITLES[section.name], head, rows)}{below}</section>'


def _name(text: str) -> str:
    return f'<td><div class="text">{escape(text)}</div></td>'


def _number(cell: Cell | None, kind: str = "number") -> str:
    if cell is None:
        return f'<td class="{kind} absent"></td>'
    value = _MARKS[cell.mark].format(cell.text)
    if cell.partial:
        value = f'<span class="partial" title="partial: {escape(cell.partial)} images">({value})</span>'
    if cell.published:
        value += f" <small>{_beside(cell)}</small>"
    return f'<td class="{kind}" data-value="{cell.value!r}">{value}</td>'


def _beside(cell: Cell) -> str:
    """The published value, the difference to it in the colour of its sign, and the number of its source."""
    value, number = difference(cell), f'<span title="{escape(cell.source)}">[{cell.reference}]</span>'
    sign = {"+": "above", "-": "below"}.get(value[:1], "")
    return f"paper {escape(cell.published)} " + (f'<span class="{sign}">{value}</span> ' if value else "") + number


def _runs(runs: Sequence[Run], folder: Path) -> str:
    rows = [_run(run, row, folder) for run, row in zip(runs, run_rows(runs), strict=True)]
    if not rows:
        return ""
    plain = "".join(f'<th scope="col">{title}</th>' for title in ("Commit", "Finished", "Files"))
    head = _head(COLUMNS[:_FIRST_NUMBER], COLUMNS[_FIRST_NUMBER:]).replace("</tr>", f"{plain}</tr>")
    return f'<section class="runs">{_table("Every run", head, rows)}</section>'


def _run(run: Run, row: Sequence[str], folder: Path) -> str:
    result = run.result
    cells = f'<th scope="row">{escape(row[0])}</th>'
    cells += "".join(map(_name, row[1:_FIRST_NUMBER]))
    cells += "".join(f'<td class="number">{escape(cell)}</td>' for cell in row[_FIRST_NUMBER:])
    links = [_link(run.path, "result", folder)]
    links += [_link(path, path.stem.removesuffix("_overlay"), folder) for path in run.overlays]
    cells += f'<td title="{escape(result["git_commit"] or "")}">{escape(commit_of(result))}</td>'
    cells += f"<td>{escape(result['finished_at'][:10])}</td>"
    return row_start(*row_of(result)) + cells + f'<td><div class="text">{" ".join(links)}</div></td></tr>'


def _link(path: Path, text: str, folder: Path) -> str:
    """A link relative to the page; quoted, so that no name of a file can be an address of another kind."""
    relative = os.path.relpath(os.path.realpath(path), os.path.realpath(folder))
    return f'<a href="{escape(quote(os.fsencode(Path(relative).as_posix())))}">{escape(text)}</a>'
