"""The table of a sweep: a row per combination, found again by a hash of all that decides it; CSV, and Markdown."""

import csv
import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from mmseg_tfovss.leaderboard.write import POCKET_NOTE, SCORES
from mmseg_tfovss.plain import csv_cell, escape_markdown
from mmseg_tfovss.whole_file import whole_file

TABLE_NAME, MARKDOWN_NAME = "sweep.csv", "sweep.md"
CONFIG, DATASET = "config", "dataset"  # columns of a sweep over several configs
ERROR = "error"  # column: why a combination has no scores
HASH = "run_hash"  # column
Row = dict[str, str]


def adopt_rows(path: Path, header: Sequence[str], hashes: Sequence[str]) -> dict[str, Row]:
    """Finished rows by hash, of the table and of those that were renamed earlier; failed ones do not count.

    A table with any other row is renamed (``sweep.1.csv``): ``path`` then holds wanted rows only, and nothing is lost.

    Args:
        path: the table; it need not exist.
        header: columns, the hash among them.
        hashes: of the wanted rows, in their order.

    Returns:
        The rows that are there.
    """
    found: dict[str, Row] = {}
    for table in sorted(path.parent.glob(f"{path.stem}*{path.suffix}")):
        rows = _read_rows(table)
        wanted = [
            dict(zip(header, row.values(), strict=True)) for row in rows if list(row) == list(map(csv_cell, header))
        ]
        wanted = [row for row in wanted if row[HASH] in hashes]
        found.update({row[HASH]: row for row in wanted if not row.get(ERROR)})
        if table == path and len(wanted) < max(1, len(rows)):
            _rename(path)
    if found:
        write_rows(path, header, [found[one] for one in hashes if one in found])
    return found


def write_rows(path: Path, header: Sequence[str], rows: Sequence[Row]) -> None:
    """Write the table: it is there completely or as it was.

    Every cell is one printable line, and text that a spreadsheet would take for a formula has an apostrophe before it;
    numbers stay numbers, see :func:`~mmseg_tfovss.plain.csv_cell`.
    """
    lines = [header, *([row[name] for name in header] for row in rows)]
    with whole_file(path) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([list(map(csv_cell, line)) for line in lines])


def to_markdown(rows: Sequence[Row], title: str) -> str:
    """A sweep for people: the best scores of each dataset in bold; of several datasets, their mIoU side by side too.

    Args:
        rows: of :func:`mmseg_tfovss.sweeps.run.sweep`.
        title: above it.
    """
    best = _best_scores(rows)
    hidden = {HASH} if any(row[ERROR] for row in rows) else {HASH, ERROR}
    columns = [column for column in rows[0] if column not in hidden]
    numbers = {*SCORES, "images"}
    parts = [
        f"# {escape_markdown(title)}\n",
        _table(columns, numbers, [[_cell(row, column, best) for column in columns] for row in rows]),
    ]
    if len({row.get(DATASET) for row in rows}) > 1:
        parts.append(_side_by_side(rows))
    if "pocket" in title or any("pocket" in row.get(DATASET, "") for row in rows):
        parts.append(f"{POCKET_NOTE}\n")
    return "\n".join(parts)


def _table(columns: Sequence[str], numbers: Collection[str], lines: Iterable[Sequence[str]]) -> str:
    rule = ["---:" if column in numbers else "---" for column in columns]
    head = list(map(escape_markdown, columns))
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, rule, *lines))


def _side_by_side(rows: Sequence[Row]) -> str:
    """One column of mIoU per dataset, and the mean of those that have all."""
    datasets = list(dict.fromkeys(row[DATASET] for row in rows))
    names = [column for column in rows[0] if column not in (DATASET, *SCORES, "images", ERROR, HASH)]
    scores: defaultdict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    for row in rows:
        key = tuple(escape_markdown(row[name]) for name in names)
        if row["mIoU"]:
            scores[key][row[DATASET]] = float(row["mIoU"])
    for found in scores.values():
        if len(found) == len(datasets):
            found["Avg."] = sum(found.values()) / len(datasets)
    columns = [*datasets, "Avg."]
    best = {
        column: max((found[column] for found in scores.values() if column in found), default=0) for column in columns
    }
    lines = [[*key, *(_number(found.get(column), best[column]) for column in columns)] for key, found in scores.items()]
    return f"mIoU (%)\n\n{_table([*names, *columns], columns, lines)}"


def _best_scores(rows: Iterable[Row]) -> dict[tuple[str, str], float]:
    """The largest of every score, by dataset and score."""
    best: defaultdict[tuple[str, str], float] = defaultdict(lambda: float("-inf"))
    for row in rows:
        for score in SCORES:
            key = (row.get(DATASET, ""), score)
            best[key] = max(best[key], float(row[score] or "-inf"))
    return best


def _cell(row: Row, column: str, best: dict[tuple[str, str], float]) -> str:
    text = row[column]
    if column not in SCORES:
        return escape_markdown(text)
    return _number(float(text) if text else None, best[row.get(DATASET, ""), column])


def _number(value: float | None, best: float) -> str:
    if value is None:
        return "-"
    return f"**{value:.2f}**" if value == best else f"{value:.2f}"


def _read_rows(path: Path) -> list[Row]:
    """Complete rows; none of a file that is no table."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (csv.Error, UnicodeDecodeError):
        return []
    return [row for row in rows if None not in row and None not in row.values()]


def _rename(path: Path) -> None:
    names = (path.with_name(f"{path.stem}.{number}{path.suffix}") for number in itertools.count(1))
    path.rename(next(name for name in names if not name.exists()))
