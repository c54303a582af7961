"""The leaderboard as one HTML page that needs nothing else: sortable, with filters and heat maps of classes."""

import base64
import hashlib
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmseg_tfovss.leaderboard.board import MORE_NETWORKS, NOT_STATED, ONE_NETWORK, TWO_NETWORKS, Board
from mmseg_tfovss.leaderboard.every_run import every_run
from mmseg_tfovss.leaderboard.heat import heat_maps
from mmseg_tfovss.leaderboard.protocol_table import protocol_table
from mmseg_tfovss.leaderboard.script import SCRIPT
from mmseg_tfovss.leaderboard.style import STYLE
from mmseg_tfovss.leaderboard.tags import escape
from mmseg_tfovss.leaderboard.text import refused

_KINDS = (ONE_NETWORK, TWO_NETWORKS, MORE_NETWORKS, NOT_STATED)


def to_html(board: Board, folder: Path, reload_seconds: float | None = None) -> str:
    """A page with the tables of all protocols, every run, and a heat map of the classes of each dataset.

    Args:
        board: what to show; every text in it is escaped.
        folder: where the page will be, for links to result files and overlays.
        reload_seconds: the page loads itself again after so many seconds: for boards that change meanwhile.

    Returns:
        The page. It works from a file, loads nothing, and runs no script and no style but its own.
    """
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{_digest(STYLE)}';"
        f" script-src 'sha256-{_digest(SCRIPT)}'; base-uri 'none'; form-action 'none'"
    )
    sections = "\n".join(map(protocol_table, board.sections))
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
<p>mIoU in percent. ★ best, ☆ second. <span class="scripted" hidden>Press a column's title to sort by it; a third press
restores the first order.</span></p>
{_notes(board)}
{_wrong(board)}
</header>
{_filters(board)}
<main>
{sections}
{heat_maps(board.runs)}
{every_run(board.runs, folder)}
</main>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _notes(board: Board) -> str:
    notes = "\n".join(f"<p>{escape(note)}</p>" for note in board.notes)
    return f'<details class="notes" open><summary>Notes</summary>\n{notes}\n</details>' if notes else ""


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
        "protocol": list(dict.fromkeys(section.name for section in board.sections)),
        "backbone": sorted({line.backbone for line in lines}),
        "kind": [kind for kind in _KINDS if kind in kinds],
    }
    selects = "\n".join(_select(name, values) for name, values in choices.items())
    return (
        '<details class="filters" open hidden><summary>Filters</summary>\n'
        f'<form role="search" aria-label="Filters">\n{selects}\n'
        '<label>method <input type="search" name="method" placeholder="part of a name" autocomplete="off"></label>\n'
        '<button type="reset">show all</button> <output aria-live="polite"></output>\n</form></details>'
    )


def _select(name: str, values: Iterable[str]) -> str:
    options = "".join(f'<option value="{escape(value)}">{escape(value)}</option>' for value in values)
    return f'<label>{name} <select name="{name}"><option value="">all</option>{options}</select></label>'
