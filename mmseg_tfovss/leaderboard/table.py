"""Results as tables for the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmseg_tfovss.evaluation.result import Result
from mmseg_tfovss.leaderboard.run import Run
from mmseg_tfovss.leaderboard.text import COLUMNS, Row, leaderboard_rows, run_rows
from mmseg_tfovss.plain import one_line

_FIRST_NUMBER = 5  # columns before it hold names
_WIDE = 1000


def print_table(table: Table) -> None:
    """Print a table at its full width, also where the output is not a terminal (80 columns are assumed there)."""
    width = Console(width=_WIDE).measure(table).maximum
    Console(width=max(width, Console().width)).print(table)


def class_table(result: Result) -> Table:
    """IoU and Acc of every class; a dash where a class does not occur.

    Names are ``Text``: as strings, square brackets in them would be taken for markup.
    """
    table = Table(title=Text(one_line(f"{result['method']} on {result['dataset']}: classes (%)")))
    table.add_column("Class")
    for name in ("IoU", "Acc"):
        table.add_column(name, justify="right")
    for name, scores in result["per_class"].items():
        table.add_row(
            Text(one_line(name)),
            *(f"{value:.2f}" if value is not None else "-" for value in (scores["IoU"], scores["Acc"])),
        )
    return table


def summary_table(results: Sequence[Result]) -> Table:
    """One row per result."""
    return _scores(leaderboard_rows(results))


def runs_table(runs: Sequence[Run]) -> Table:
    """One row per run, which also tells what makes it different from others."""
    return _scores(run_rows(runs))


def _scores(rows: Sequence[Row]) -> Table:
    table = Table(title=Text("Scores (%)"))
    for number, name in enumerate(COLUMNS):
        table.add_column(name, justify="right" if number >= _FIRST_NUMBER else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    return table
