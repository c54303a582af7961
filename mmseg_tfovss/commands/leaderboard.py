"""Collect results into leaderboard.md, .csv, .tex and .html (docs/leaderboard.md)."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmseg_tfovss.leaderboard.write import Board, Collected

_NOT_ALL_COUNT = 3
_DAY = 86_400


def parse_arguments(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Write leaderboard.md, .csv, .tex and .html from result.json files.",
        epilog="Exit code 0: every result counts. 3: it is written, but some results are left out (damaged, out of"
        " date, or older than another of the same run), images are missing, or runs are unfinished; all are named. 1:"
        " no result counts. Columns, marks and filters: docs/leaderboard.md.",
    )
    parser.add_argument("results", nargs="*", type=Path, help="result folders, or folders of result folders")
    parser.add_argument("--out", type=folder, required=True, help="folder of the leaderboard files")
    parser.add_argument(
        "--published",
        action="store_true",
        help="add numbers printed in papers for the same datasets; without results: for all datasets",
    )
    parser.add_argument(
        "--watch",
        type=seconds,
        nargs="?",
        const=10.0,
        metavar="SECONDS",
        help="update when results change, checking every SECONDS (default 10), until Ctrl-C; the page reloads itself",
    )
    arguments = parser.parse_args(argv)
    if not arguments.results and (arguments.watch or not arguments.published):
        parser.error("name the result folders, for example work_dirs (only --published without --watch needs none)")
    return arguments


def folder(text: str) -> Path:
    """A folder that is there or can be made."""
    path = Path(text)
    file = next((place for place in (path, *path.parents) if place.exists() and not place.is_dir()), None)
    if not text or file:
        what = f"{file} is a file" if file else "got an empty name"
        raise argparse.ArgumentTypeError(f"must name a folder, which is made if needed, but {what}: name another")
    return path


def seconds(text: str) -> float:
    """A number of seconds above 0, at most a day."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= _DAY:
        raise argparse.ArgumentTypeError(
            f"takes a number of seconds above 0 and at most {_DAY}, but got {text!r}: name result folders before it"
        )
    return number


def write(
    collected: "Collected", arguments: argparse.Namespace, reload_seconds: float | None = None
) -> tuple["Board", list[Path]]:
    """Write the files.

    Returns:
        The tables, and the files.
    """
    from mmseg_tfovss.datasets.facts import FACTS
    from mmseg_tfovss.leaderboard.write import make_board, published_numbers, write_leaderboard

    datasets = {result["dataset"] for result in collected.results} if arguments.results else set(FACTS)
    board = make_board(collected, published_numbers(datasets) if arguments.published else ())
    return board, write_leaderboard(board, arguments.out, reload_seconds)


def watch(arguments: argparse.Namespace) -> None:
    """Write whenever results change, until Ctrl-C."""
    import time

    from mmseg_tfovss.cli import say

    written: list[Collected] = []

    def keep(found: "Collected") -> None:
        board, _ = write(found, arguments, arguments.watch)
        if arguments.published and not written and (reason := unmatched(board)):
            say(reason)
        written[:] = [found]

    try:
        from mmseg_tfovss.leaderboard.notes import unmatched
        from mmseg_tfovss.leaderboard.watch import watch_results

        for line in watch_results(arguments.results, keep, lambda: time.sleep(arguments.watch)):
            say(line)
    except KeyboardInterrupt:
        if not written:
            say("Stopped watching; no result has counted, so nothing is written.")
            return
        write(written[0], arguments)  # without loading itself again: nothing changes any more
        say(f"Stopped watching; the leaderboard is in {arguments.out}.")


def write_once(arguments: argparse.Namespace) -> int:
    """Write and print the leaderboard.

    Returns:
        The exit code.
    """
    import sys

    from rich.console import Console

    from mmseg_tfovss.leaderboard.table import print_table, runs_table
    from mmseg_tfovss.leaderboard.write import (
        POCKET_NOTE,
        Collected,
        collect_results,
        one_line,
        printable,
        refused,
        unmatched,
    )

    collected = collect_results(arguments.results) if arguments.results else Collected(())
    if arguments.results and not collected.runs:
        reasons = " ".join(f"{printable(item.path)} {one_line(item.reason)}" for item in collected.left_out)
        raise ValueError(f"No result counts, so nothing is written: {reasons}")
    board, paths = write(collected, arguments)
    console = Console()
    if board.runs:
        print_table(runs_table(board.runs))
    if POCKET_NOTE in board.notes:
        console.print(POCKET_NOTE)
    written = ", ".join(map(printable, paths))
    console.print(f"Written: {written}", soft_wrap=True, markup=False, emoji=False)
    if arguments.published and (reason := unmatched(board)):
        sys.stderr.write(f"{reason}\n")
    wrong = refused(board)
    for path, reason in wrong:
        sys.stderr.write(f"does not count: {path} {reason}\n")
    return _NOT_ALL_COUNT if wrong else 0


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Write the leaderboard once, or keep it up to date."""
    arguments = parse_arguments(argv, prog)
    from mmseg_tfovss.cli import user_errors

    with user_errors():
        if arguments.watch:
            watch(arguments)
            return 0
        return write_once(arguments)
    return 1  # user_errors leaves by SystemExit
