"""The table of a sweep: a row per finished combination, found again by the hash of its config."""

import csv
import itertools
from collections.abc import Sequence
from pathlib import Path

from mmseg_tfovss.whole_file import whole_file

TABLE_NAME = "sweep.csv"
HASH = "config_hash"  # column
Row = dict[str, str]


def adopt_rows(path: Path, header: Sequence[str], hashes: Sequence[str]) -> dict[str, Row]:
    """Finished rows by hash, of the table and of those that were renamed earlier.

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
        wanted = [row for row in rows if list(row) == list(header) and row[HASH] in hashes]
        found.update({row[HASH]: row for row in wanted})
        if table == path and len(wanted) < max(1, len(rows)):
            _rename(path)
    if found:
        write_rows(path, header, [found[one] for one in hashes if one in found])
    return found


def write_rows(path: Path, header: Sequence[str], rows: Sequence[Row]) -> None:
    """Write the table: it is there completely or as it was."""
    with whole_file(path) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, header, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


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
