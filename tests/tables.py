"""Make the tables of the documentation again, by the commands that stand above them.

    python -m tests.tables [docs/methods/dslo.md ...] [--only TITLE] [--jobs N] [--check]     (or: make tables)

In README.md and docs/, a table belongs to the command in backticks in the paragraph above it. ``tfovss sweep ...`` (or
``tools/sweep.py ...``) is run, some sweeps at a time, and its last table replaces the one in the file. If this is
interrupted, the same command continues: finished rows stay in ``work_dirs/tables``. ``make benchmark-full`` is not run
here: the scores in its tables are those of ``work_dirs/leaderboard``. A command that fails leaves its table as it is,
and the exit code is 1. In the end, each changed cell is printed, and each place where the text around the tables still
has its old value. ``--check`` runs nothing: it prints the tables whose rows or columns are not those of their commands.
"""

import argparse
import csv
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from mmseg_tfovss.cli import parse_options, say, user_errors
from mmseg_tfovss.cluster.local_list import LOG_NAME, RunningList, visible_gpus
from mmseg_tfovss.cluster.run_list import PlannedRun
from mmseg_tfovss.cores import cores
from mmseg_tfovss.engine.signals import StoppedError
from mmseg_tfovss.sweeps.table import CONFIG, ERROR, HASH, MARKDOWN_NAME, SCORES, to_markdown
from mmseg_tfovss.sweeps.trials import make_trials
from mmseg_tfovss.sweeps.values import option_label, parse_swept, split_arguments
from mmseg_tfovss.whole_file import whole_file

ROOT = Path(__file__).parents[1]
OUT = Path("work_dirs/tables")
LEADERBOARD = Path("work_dirs/leaderboard/leaderboard.csv")
BENCHMARK = "make benchmark-full"
NO_SCORE = "–"  # of a method that has no pocket config
SWEEP = r"(?:tools/sweep\.py|tfovss sweep) "
COMMAND = re.compile(rf"`({SWEEP}[^`]+|{BENCHMARK})`")
TITLE = re.compile(r"\*\*(.+?)\.?\*\*")
# Lines that are no table's, then lines of one; headings and code are paragraphs of their own.
BLOCK = re.compile(r"(?P<text>(?:^[^\n|].*\n)+)\n*(?P<table>(?:^\|.*(?:\n|\Z)){2,})", re.MULTILINE)
NUMBER = re.compile(r"(?<![\d.])\d+\.\d+(?![\d.]*\d)")


class Table(NamedTuple):
    """Cells as they stand in Markdown; the first columns name a row."""

    header: list[str]
    rows: list[list[str]]
    names: int = 1

    def differs_from(self, other: "Table") -> bool:
        """Whether rows or columns have other names."""
        mine, others = ([row[: self.names] for row in rows] for rows in (self.rows, other.rows))
        return self.header != other.header or mine != others


@dataclass(frozen=True, eq=False)
class Task:
    """A table to make."""

    file: Path
    title: str
    command: str
    table: Table

    @property
    def folder(self) -> Path:
        """Of its sweep."""
        return OUT / self.file.stem / re.sub(r"\W+", "_", self.title.lower()).strip("_")


Run = Callable[[Sequence[Task], int], tuple[dict[Task, Table], dict[Task, str]]]


# -- Markdown ---------------------------------------------------------------------------------------------------------


def find_tasks(text: str, file: Path) -> list[Task]:
    """Tables with a command above them, from top to bottom."""
    tasks = []
    for block in BLOCK.finditer(text):
        commands = COMMAND.findall(block["text"])
        if len(commands) > 1:
            raise ValueError(f"{file}: a table has {len(commands)} commands above it, but takes one: {commands[0]}")
        title = TITLE.match(block["text"])
        tasks += [Task(file, title[1] if title else one, one, read_table(block["table"])) for one in commands]
    return tasks


def files_with_tables() -> list[Path]:
    """README and the pages that have such tables, from the root of the repository."""
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [path.relative_to(ROOT) for path in paths if find_tasks(path.read_text(encoding="utf-8"), path)]


def read_table(markdown: str) -> Table:
    """The cells of one table; columns with numbers are those that are aligned to the right, if any are."""
    header, rule, *rows = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])] for line in markdown.splitlines()
    ]
    return Table(header, rows, sum(not cell.endswith(":") for cell in rule))


def replace_tables(text: str, tables: dict[str, Table]) -> str:
    """The text with other tables below these commands; the rest of it stays, alignment of columns too."""

    def fill(block: re.Match[str]) -> str:
        found = [tables[one] for one in COMMAND.findall(block["text"]) if one in tables]
        if not found:
            return block[0]
        lines = block["table"].splitlines()
        same_width = len(read_table(block["table"]).header) == len(found[0].header)
        rule = lines[1] if same_width else _line(["---"] * len(found[0].header))
        end = "\n" if block["table"].endswith("\n") else ""
        table = "\n".join([_line(found[0].header), rule, *map(_line, found[0].rows)]) + end
        return block[0].removesuffix(block["table"]) + table

    return BLOCK.sub(fill, text)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def tell_changes(task: Task, table: Table) -> Iterator[str]:
    """A line for each cell that is another one."""
    if table.differs_from(task.table):
        yield f"{task.file}, {task.title}: has other rows or columns than before"
        return
    for old, new in zip(task.table.rows, table.rows, strict=True):
        for title, before, after in zip(table.header, old, new, strict=True):
            if before != after:
                where = ", ".join([str(task.file), task.title, *new[: table.names], title])
                yield f"{where}: {before} -> {after}"


def quoted_elsewhere(text: str, task: Task, table: Table) -> Iterator[str]:
    """A line for each number of the old table, and of no new one, that the text around tables still has."""
    gone = set(NUMBER.findall(str(task.table.rows))) - set(NUMBER.findall(str(table.rows)))
    for number, line in enumerate(text.splitlines(), 1):
        found = sorted(gone.intersection(NUMBER.findall(COMMAND.sub("", line)))) if not line.startswith("|") else []
        if found:
            yield f"{task.file}:{number} still says {', '.join(found)}, as the table {task.title!r} did"


# -- what commands give -----------------------------------------------------------------------------------------------


def expand(command: str) -> list[str]:
    """The arguments of a sweep, as bash reads them: quotes, braces, names of files."""
    words = re.sub(f"^{SWEEP}", "", command)
    environment = {**os.environ, "LC_ALL": "C"}
    bash = ["bash", "-c", f"printf '%s\\0' {words}"]
    done = subprocess.run(bash, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"bash cannot read {command}: {done.stderr.strip()}")
    return done.stdout.split("\0")[:-1]


def parse_sweep(command: str) -> tuple[list[Path], dict[str, list[object]], argparse.Namespace]:
    """Configs, swept values and options of a sweep; as the tool itself reads them."""
    try:
        with patch.object(sys, "argv", ["tools/sweep.py", *expand(command)]):
            arguments = runpy.run_path(str(ROOT / "tools/sweep.py"))["parse_arguments"]()
    except SystemExit:
        raise ValueError(f"tools/sweep.py does not take the options of {command}") from None
    paths, pairs = split_arguments(arguments.arguments)
    return paths, parse_swept(pairs), arguments


def swept_table(markdown: str) -> Table:
    """The last table of ``sweep.md``, as the documentation shows it: short names, and no column that says nothing."""
    table = read_table(list(re.finditer(r"(?:^\|.*\n)+", markdown, re.MULTILINE))[-1][0])
    header, rows, names = table
    if CONFIG in header[:1] and len({row[0] for row in rows}) == 1:
        header, rows, names = header[1:], [row[1:] for row in rows], names - 1
    # Escaped for the start of a line, or against links that are none.
    rows = [[re.sub(r"\\([\[\]+])", r"\1", cell) for cell in row] for row in rows]
    return Table([option_label(title) for title in header], rows, names)


def expected_table(command: str) -> Table:
    """What a sweep would write, with other numbers."""
    paths, swept, arguments = parse_sweep(command)
    with patch("mmseg_tfovss.sweeps.trials.run_key", return_value=""):  # it reads weights and images
        trials = make_trials(paths, parse_options(arguments.cfg_options), swept)
    scores = {**dict.fromkeys(SCORES, "1"), "images": "1", ERROR: "", HASH: ""}
    return swept_table(to_markdown([{**trial.cells, **scores} for trial in trials], ""))


def board_table(old: Table, path: Path = LEADERBOARD) -> Table:
    """The same rows and columns with the leaderboard's numbers.

    A row is found by method and setting, as in "DSLO, maximum velocity (whole images)", a column by its first word, if
    that is a pocket dataset. All other cells stay.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: run `{BENCHMARK}` first.")
    with path.open(newline="", encoding="utf-8") as file:
        lines = [line for line in csv.DictReader(file) if line["Protocol"] == "unified"]
    rows = []
    scored = {number: title.split()[0] for number, title in enumerate(old.header) if title.startswith("pocket_")}
    for cells in old.rows:
        if all(cells[number] == NO_SCORE for number in scored):
            rows.append(cells)
            continue
        label = cells[0]
        plain = re.sub(r"\(.*?\)|[][, -]", "", label)  # "CLIP Surgery" is CLIPSurgery
        found = [line for line in lines if f"{line['Method']}{line['Setting']}".replace(" ", "") == plain]
        values = {number: found[0].get(key) or "" for number, key in scored.items()} if len(found) == 1 else {}
        if not values or not all(map(NUMBER.fullmatch, values.values())):
            raise ValueError(f"{path} has no single complete row for {label!r}.")
        rows.append([values.get(number, cell) for number, cell in enumerate(cells)])
    return Table(old.header, rows)


# -- running ----------------------------------------------------------------------------------------------------------


def run_sweeps(tasks: Sequence[Task], jobs: int) -> tuple[dict[Task, Table], dict[Task, str]]:
    """Tables, and why others could not be made."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    planned = {}
    for task in tasks:
        paths, swept, arguments = parse_sweep(task.command)
        cost = len(paths) * prod(map(len, swept.values())) * float(arguments.samples or 200)
        planned[PlannedRun(task.file, f"{task.file}, {task.title}", task.folder, cost)] = task
    runs = sorted(planned, key=lambda run: -run.cost)
    say(f"Running {len(runs)} sweeps, {jobs} at a time; each logs to {LOG_NAME} in its folder of {OUT}.")

    def command(run: PlannedRun) -> list[str]:
        return [sys.executable, "tools/sweep.py", *expand(planned[run].command), "--out", str(run.folder)]

    try:
        failures = RunningList(runs, command, jobs, say, visible_gpus()).work()
    except StoppedError as stop:
        raise SystemExit(stop.exit_code) from None
    reasons = {failure.name: f"{failure.reason}, see {failure.log}" for failure in failures}
    failed = {task: reasons[run.name] for run, task in planned.items() if run.name in reasons}
    made = [task for task in tasks if task not in failed]
    return {task: swept_table((task.folder / MARKDOWN_NAME).read_text(encoding="utf-8")) for task in made}, failed


def make_tables(tasks: Sequence[Task], jobs: int, run: Run = run_sweeps) -> bool:
    """Replace what can be made, and tell what has changed; whether every table was made."""
    sweeps = [task for task in tasks if task.command != BENCHMARK]
    tables, failed = run(sweeps, jobs) if sweeps else ({}, {})
    for task in tasks:
        if task.command == BENCHMARK:
            try:
                tables[task] = board_table(task.table)
            except (ValueError, OSError) as error:
                failed[task] = str(error)
    for file in dict.fromkeys(task.file for task in tables):
        text = replace_tables(
            file.read_text(encoding="utf-8"), {task.command: tables[task] for task in tables if task.file == file}
        )
        with whole_file(file) as scratch:
            scratch.write_text(text, encoding="utf-8")
    made = [task for task in tasks if task in tables]
    changes = [line for task in made for line in tell_changes(task, tables[task])]
    quoted = [line for task in made for line in quoted_elsewhere(task.file.read_text("utf-8"), task, tables[task])]
    say(*changes, *quoted, f"{len(made)} of {len(tasks)} tables were made, {len(changes)} changes.")
    for task, reason in failed.items():
        sys.stderr.write(f"failed: {task.file}, {task.title}: {reason}\n  {task.command}\n")
    return not failed


def check_tables(tasks: Sequence[Task]) -> bool:
    """Tell which tables have not the rows and columns of their commands; whether all have."""
    expected = {task: expected_table(task.command) for task in tasks if task.command != BENCHMARK}
    wrong = [(task, table) for task, table in expected.items() if table.differs_from(task.table)]
    for task, table in wrong:
        rows = "; ".join(", ".join(row[: table.names]) for row in table.rows)
        say(f"{task.file}, {task.title}: its command gives the columns {', '.join(table.header)}, and the rows {rows}")
    say(
        f"{len(expected) - len(wrong)} of {len(expected)} tables of sweeps have the rows and columns of their commands."
    )
    return not wrong


def choose_tasks(files: Sequence[Path], only: Sequence[str]) -> list[Task]:
    """The tables of these files, or those whose titles contain one of the words."""
    tasks = [task for file in files for task in find_tasks(file.read_text(encoding="utf-8"), file)]
    for word in only:
        if not any(word.lower() in task.title.lower() for task in tasks):
            raise ValueError(f"--only {word}: there is no such table: {', '.join(task.title for task in tasks)}.")
    chosen = [task for task in tasks if not only or any(word.lower() in task.title.lower() for word in only)]
    if not chosen:
        raise ValueError(f"No table stands below a command in {', '.join(map(str, files))}.")
    folders = [task.folder for task in chosen]
    if twice := [task.title for task in chosen if folders.count(task.folder) > 1]:
        raise ValueError(f"Tables of one file need titles of their own, but two are called {twice[0]!r}.")
    return chosen


def main() -> int:
    """Make or check tables; 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "files", nargs="*", type=Path, default=files_with_tables(), help="default: all that have such tables"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="TITLE", help="tables whose title has this in it"
    )
    parser.add_argument("--jobs", type=int, default=min(cores(), 4), help="sweeps at a time")
    parser.add_argument("--check", action="store_true", help="run nothing; compare rows and columns with the commands")
    arguments = parser.parse_args()
    with user_errors():
        if arguments.jobs < 1:
            raise ValueError(f"--jobs must be at least 1, but got {arguments.jobs}.")
        os.chdir(ROOT)
        tasks = choose_tasks(arguments.files, arguments.only)
        return not (check_tables(tasks) if arguments.check else make_tables(tasks, arguments.jobs))


if __name__ == "__main__":
    sys.exit(main())
