"""Every run on the leaderboard's page, with all scores, where it comes from, and links to its files."""

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from mmseg_tfovss.leaderboard.board import USUAL_PRECISION
from mmseg_tfovss.leaderboard.run import Run, commit_of
from mmseg_tfovss.leaderboard.tags import (
    NAME,
    NUMBER,
    OFF_PHONES,
    SECONDARY,
    Column,
    breakable,
    escape,
    name_cell,
    row_of,
    row_start,
    row_title,
    table,
)
from mmseg_tfovss.leaderboard.text import COLUMNS, run_rows

_SCORES = COLUMNS[5:9]
_SHORT = f"short {NAME}{SECONDARY}"
_HEADS = (
    Column("Method", NAME),
    Column("Dataset", f"{NAME} {OFF_PHONES}"),
    *(Column(title, NUMBER) for title in _SCORES),
    *(Column(title, NAME + SECONDARY) for title in ("Protocol", "Backbone", "Precision")),
    *(Column(title, NUMBER + SECONDARY) for title in COLUMNS[9:]),
    *(Column(title, NAME + SECONDARY) for title in ("Commit", "Finished")),
    Column("Files", NAME + SECONDARY, sortable=False),
)


def every_run(runs: Sequence[Run], folder: Path) -> str:
    """A section with a row per run; empty without runs.

    Args:
        runs: see :class:`~mmseg_tfovss.leaderboard.board.Board`.
        folder: where the page will be.
    """
    rows = [_row(run, row, folder) for run, row in zip(runs, run_rows(runs), strict=True)]
    return f'<section class="runs">{table("Every run", _HEADS, rows)}</section>' if rows else ""


def _row(run: Run, row: Sequence[str], folder: Path) -> str:
    result, (_, protocol, method, backbone, precision, *numbers) = run.result, row
    unusual = "" if precision == USUAL_PRECISION else precision
    scores, rest = numbers[: len(_SCORES)], numbers[len(_SCORES) :]
    cells = [
        row_start(*row_of(result)),
        row_title(method, backbone, protocol, unusual, dataset=run.title),
        f'<td class="{NAME} {OFF_PHONES}">{breakable(run.title)}</td>',
        *(f'<td class="{NUMBER}">{escape(score)}</td>' for score in scores),
        name_cell(protocol),
        name_cell(backbone, f"{NAME} networks{SECONDARY}"),
        f'<td class="{_SHORT}">{escape(precision)}</td>',
        *(f'<td class="{NUMBER}{SECONDARY}">{escape(number)}</td>' for number in rest),
        f'<td class="{_SHORT}" title="{escape(result["git_commit"] or "")}">{escape(commit_of(result))}</td>',
        f'<td class="{_SHORT}">{escape(result["finished_at"][:10])}</td>',
        f'<td class="{NAME}{SECONDARY}"><div class="text files">{_links(run, folder)}</div></td></tr>',
    ]
    return "".join(cells)


def _links(run: Run, folder: Path) -> str:
    links = [_link(run.path, "result", folder)]
    links += [_link(path, path.stem.removesuffix("_overlay"), folder, "overlay ") for path in run.overlays]
    return " ".join(links)


def _link(path: Path, text: str, folder: Path, what: str = "") -> str:
    """A link relative to the page; quoted, so that no name of a file can be an address of another kind.

    ``what`` the file is stands once in the title and the accessible name, not in every link of a narrow column.
    """
    relative = os.path.relpath(os.path.realpath(path), os.path.realpath(folder))
    label = f' aria-label="{escape(what + text)}" title="{escape(what + text)}"' if what else ""
    return f'<a href="{escape(quote(os.fsencode(Path(relative).as_posix())))}"{label}>{escape(text)}</a>'
