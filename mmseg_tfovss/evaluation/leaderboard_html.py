"""The leaderboard as one HTML page that needs nothing else: sortable, with filters and per-class heat maps."""

import base64
import hashlib
import html
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from mmseg_tfovss.evaluation.leaderboard_board import (
    MORE_NETWORKS,
    NOT_STATED,
    ONE_NETWORK,
    PUBLISHED,
    Board,
    Cell,
    Section,
    dataset_place,
    kind_of,
)
from mmseg_tfovss.evaluation.leaderboard_page import SCRIPT, STYLE
from mmseg_tfovss.evaluation.leaderboard_results import Run
from mmseg_tfovss.evaluation.leaderboard_text import (
    COLUMNS,
    TITLES,
    beside,
    leaderboard_rows,
    line_names,
    name_columns,
    refused,
)
from mmseg_tfovss.evaluation.result import Result

_FIRST_NUMBER = 5  # of COLUMNS
_COMMIT = 7  # digits
_USUAL_PRECISION = "fp32"
_MARKS = {"": "{}", "best": "<b>{}</b>", "second": "<u>{}</u>"}
_KINDS = (ONE_NETWORK, MORE_NETWORKS, NOT_STATED)


def to_html(board: Board, folder: Path) -> str:
    """A page with the tables of all protocols, every run, and a heat map of the classes of each dataset.

    Args:
        board: what to show; every text in it is escaped.
        folder: where the page will be, for links to result files and overlays.

    Returns:
        The page. It works from a file, loads nothing, and runs no script but its own.
    """
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    sections = "\n".join(_section(section) for section in board.sections)
    notes = "\n".join(f"<p>{_text(note)}</p>" for note in board.notes)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>Leaderboard</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>Leaderboard</h1>
<p>mIoU in percent. Click a column's title to sort.</p>
{notes}
{_wrong(board)}
</header>
{_filters(board)}
<main>
{sections}
{_heat_maps(board.runs)}
{_runs(board.runs, folder)}
</main>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)


def _wrong(board: Board) -> str:
    items = [f"<li><code>{_text(path)}</code> {_text(reason)}</li>" for path, reason in refused(board)]
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
    options = "".join(f'<option value="{_text(value)}">{_text(value)}</option>' for value in values)
    return f'<label>{name} <select name="{name}"><option value="">all</option>{options}</select></label>'


def _row_start(protocol: str, backbone: str, kind: str, method: str) -> str:
    facts = {"protocol": protocol, "backbone": backbone, "kind": kind, "method": method}
    return "<tr " + " ".join(f'data-{name}="{_text(value)}"' for name, value in facts.items()) + ">"


def _head(names: Sequence[str], numbers: Sequence[str]) -> str:
    def cell(title: str, kind: str) -> str:
        return f'<th scope="col" class="{kind}"><button type="button">{_text(title)}</button></th>'

    cells = "".join(cell(title, "name") for title in names) + "".join(cell(title, "number") for title in numbers)
    return f"<thead><tr>{cells}</tr></thead>"


def _table(caption: str, head: str, rows: Sequence[str]) -> str:
    body = "\n".join(rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{_text(caption)}"><table class="sortable">'
        f"<caption>{_text(caption)}</caption>{head}<tbody>\n{body}\n</tbody></table></div>"
    )


def _section(section: Section) -> str:
    rows = []
    for line in section.lines:
        first, *others = line_names(section, line)
        names = f'<th scope="row"><div class="text">{_text(first)}</div></th>' + "".join(map(_name, others))
        numbers = "".join(_number(line.cells.get(name)) for name in section.datasets)
        numbers += "".join(_number(line.cells.get(name), "number average") for name in section.averages)
        rows.append(_row_start(section.name, line.backbone, line.kind, line.method) + names + numbers + "</tr>")
    table = _table(TITLES[section.name], _head(name_columns(section), section.columns), rows)
    kind = " published" if section.name == PUBLISHED else ""
    return f'<section class="protocol{kind}">{table}</section>'


def _name(text: str) -> str:
    return f'<td><div class="text">{_text(text)}</div></td>'


def _number(cell: Cell | None, kind: str = "number") -> str:
    if cell is None:
        return f'<td class="{kind}"></td>'
    value = _MARKS[cell.mark].format(cell.text)
    if cell.partial:
        value = f'<span class="partial" title="partial: {_text(cell.partial)} images">({value})</span>'
    if cell.published:
        value += f' <small title="{_text(cell.source)}">{_text(beside(cell))}</small>'
    return f'<td class="{kind}" data-value="{cell.value!r}">{value}</td>'


def _runs(runs: Sequence[Run], folder: Path) -> str:
    rows = [_run(run, row, folder) for run, row in zip(runs, leaderboard_rows([r.result for r in runs]), strict=True)]
    if not rows:
        return ""
    plain = "".join(f'<th scope="col">{title}</th>' for title in ("Commit", "Finished", "Files"))
    head = _head(COLUMNS[:_FIRST_NUMBER], COLUMNS[_FIRST_NUMBER:]).replace("</tr>", f"{plain}</tr>")
    return f'<section class="runs">{_table("Every run", head, rows)}</section>'


def _run(run: Run, row: Sequence[str], folder: Path) -> str:
    result = run.result
    cells = f'<th scope="row">{_text(row[0])}</th>'
    cells += "".join(map(_name, row[1:_FIRST_NUMBER]))
    cells += "".join(f'<td class="number">{_text(cell)}</td>' for cell in row[_FIRST_NUMBER:])
    commit = str(result["git_commit"] or "")
    short = commit[:_COMMIT] + ("-dirty" if commit.endswith("-dirty") else "")
    links = [_link(run.path, "result", folder)]
    links += [_link(path, path.stem.removesuffix("_overlay"), folder) for path in run.overlays]
    cells += f'<td title="{_text(commit)}">{_text(short)}</td><td>{_text(result["finished_at"][:10])}</td>'
    return _row_start(*_facts(result)) + cells + f'<td><div class="text">{" ".join(links)}</div></td></tr>'


def _facts(result: Result) -> tuple[str, str, str, str]:
    return result["protocol"], result["backbone"], kind_of(result["backbone"]), result["method"]


def _link(path: Path, text: str, folder: Path) -> str:
    relative = os.path.relpath(path.resolve(), folder.resolve())
    return f'<a href="{_text(quote(Path(relative).as_posix()))}">{_text(text)}</a>'


def _heat_maps(runs: Sequence[Run]) -> str:
    datasets: dict[str, list[Result]] = {}
    for run in sorted(runs, key=lambda run: dataset_place(run.result["dataset"])):
        datasets.setdefault(run.result["dataset"], []).append(run.result)
    if not datasets:
        return ""
    figures = "\n".join(_heat_map(name, results) for name, results in datasets.items())
    options = "".join(f'<option value="{_text(name)}">{_text(name)}</option>' for name in datasets)
    return (
        '<section class="heat"><h2>IoU of each class</h2>\n'
        f'<label class="choice" hidden>dataset <select name="heat">{options}</select></label>\n{figures}\n</section>'
    )


def _heat_map(dataset: str, results: Sequence[Result]) -> str:
    classes = list(dict.fromkeys(name for result in results for name in result["per_class"]))
    head = "".join(f'<th scope="col" class="class"><span>{_text(name)}</span></th>' for name in classes)
    rows = []
    for result in results:
        scores = {name: value["IoU"] for name, value in result["per_class"].items()}
        [row] = leaderboard_rows([result])
        details = ", ".join([row[3], row[1], *([row[4]] if row[4] != _USUAL_PRECISION else [])])
        title = f'<th scope="row">{_text(row[2])} <small>{_text(details)}</small></th>'
        cells = "".join(_heat(scores, name) for name in classes)
        rows.append(_row_start(*_facts(result)) + title + cells + "</tr>")
    body = "\n".join(rows)
    name = _text(dataset)
    return (
        f'<div class="scroll map" tabindex="0" role="region" aria-label="{name}" data-dataset="{name}">'
        f"<table><caption>{name}: IoU of each class in percent</caption>\n"
        f'<thead><tr><th scope="col">Method</th>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'
    )


def _heat(scores: Mapping[str, float | None], name: str) -> str:
    value = scores.get(name)
    if value is None:
        return "<td>–</td>"
    return f'<td class="v" style="--v:{value:.1f}">{value:.0f}</td>'
