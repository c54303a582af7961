"""The leaderboard: results of many runs in one table, as text for people, papers and machines."""

from collections.abc import Callable
from pathlib import Path

from mmseg_tfovss.leaderboard.arrange import make_board
from mmseg_tfovss.leaderboard.board import POCKET_NOTE, Board
from mmseg_tfovss.leaderboard.check import SCORES
from mmseg_tfovss.leaderboard.html import to_html
from mmseg_tfovss.leaderboard.latex import to_latex
from mmseg_tfovss.leaderboard.notes import unmatched
from mmseg_tfovss.leaderboard.published import published_numbers, read_published
from mmseg_tfovss.leaderboard.results import Collected, collect_results
from mmseg_tfovss.leaderboard.text import (
    COLUMNS,
    leaderboard_rows,
    refused,
    to_csv,
    to_markdown,
    to_runs_csv,
)
from mmseg_tfovss.plain import one_line, printable
from mmseg_tfovss.whole_file import whole_file

__all__ = [
    "COLUMNS",
    "POCKET_NOTE",
    "SCORES",
    "Board",
    "Collected",
    "collect_results",
    "leaderboard_rows",
    "make_board",
    "one_line",
    "printable",
    "published_numbers",
    "read_published",
    "refused",
    "unmatched",
    "write_leaderboard",
]

_FILES: dict[str, Callable[[Board], str]] = {
    "leaderboard.md": to_markdown,
    "leaderboard.csv": to_csv,
    "leaderboard.tex": to_latex,
    "leaderboard_runs.csv": to_runs_csv,
}


def write_leaderboard(board: Board, folder: Path, reload_seconds: float | None = None) -> list[Path]:
    """Write ``leaderboard.md``, ``.csv``, ``.tex`` and ``.html``, and every run as ``leaderboard_runs.csv``.

    Each file is replaced as a whole.

    Args:
        board: of :func:`~mmseg_tfovss.leaderboard.arrange.make_board`.
        folder: created if needed.
        reload_seconds: the page loads itself again after so many seconds; None: it does not.

    Returns:
        The files.
    """
    texts = {name: render(board) for name, render in _FILES.items()}
    texts["leaderboard.html"] = to_html(board, folder, reload_seconds)
    for name, text in texts.items():
        with whole_file(folder / name) as scratch:
            scratch.write_text(text, encoding="utf-8")
    return [folder / name for name in texts]
