"""Files of an earlier run, which a new one does not overwrite."""

import os
import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path


def numbered(path: Path, number: int) -> Path:
    """``report.md`` -> ``report.1.md``."""
    return path.with_name(f"{path.stem}.{number}{path.suffix}")


def keep_earlier(paths: Sequence[Path]) -> list[Path]:
    """Rename the files that are there, all with the same number, and say so on stderr.

    Args:
        paths: in one folder, where a new run is about to write.

    Returns:
        Their new names; empty if none was there.

    Raises:
        OSError: the folder cannot be written.
    """
    there = [path for path in paths if os.path.lexists(path)]
    if not there:
        return []
    free = (number for number in count(1) if not any(os.path.lexists(numbered(path, number)) for path in paths))
    number = next(free)
    kept = [path.rename(numbered(path, number)) for path in there]
    files, verb = ("files", "are") if len(kept) > 1 else ("file", "is")
    sys.stderr.write(f"The {files} of an earlier run {verb} kept as {', '.join(map(str, kept))}.\n")
    sys.stderr.flush()
    return kept
