"""Where results lie below some folders, and which runs there have not finished."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmseg_tfovss.evaluation.result import RESULT_NAME

# What a run leaves in its folder before its result; mmseg_tfovss.engine has the names, but its import takes seconds.
BEGUN = ("state", ".lock")


@dataclass(frozen=True)
class LeftOut:
    """A result file, or the folder of a run, that does not count.

    Attributes:
        path: the file or folder.
        reason: a sentence without its subject.
    """

    path: Path
    reason: str


@dataclass(frozen=True)
class Found:
    """What lies below some folders.

    Attributes:
        files: result files, each once.
        unfinished: folders without a result: of runs that were begun, and what was named but holds no result; and
            what cannot be looked into.
    """

    files: tuple[Path, ...]
    unfinished: tuple[LeftOut, ...]


@dataclass
class _Place:
    """What lies below one folder."""

    files: list[Path] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def find_results(folders: Sequence[Path]) -> Found:
    """Look for result files, and for runs that were begun but have none.

    Links to the folders of single runs are followed, other links to folders are not.

    Args:
        folders: result folders, folders of result folders, or result files.

    Returns:
        What is there; nothing is read.
    """
    files: dict[str, Path] = {}
    unfinished: dict[str, LeftOut] = {}
    for folder in folders:
        place = _look_below(folder)
        for path in place.files:
            files.setdefault(os.path.realpath(path), path)  # unlike Path.resolve, it bears links in a circle
        for item in place.left_out:
            unfinished.setdefault(os.path.realpath(item.path), item)
        if not place.files and not place.left_out:
            reason = f"holds no {RESULT_NAME}: no run in it has finished."
            if not os.path.lexists(folder):
                reason = "does not exist: its run was never begun, or the name is misspelt."
            unfinished.setdefault(os.path.realpath(folder), LeftOut(folder, reason))
    return Found(tuple(files.values()), tuple(unfinished.values()))


def _look_below(folder: Path) -> _Place:
    """Result files, folders of unfinished runs, and what cannot be looked into."""
    found = _Place()
    if os.path.lexists(folder) and not os.path.isdir(folder):  # noqa: PTH112 - it bears what Path.is_dir does not
        found.files.append(folder)
        return found

    def note(error: OSError) -> None:
        where = Path(error.filename or folder)
        if os.path.lexists(where):
            found.left_out.append(LeftOut(where, f"cannot be looked into: {error.strerror}."))

    links: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=note):
        folders.sort()
        if RESULT_NAME in names:
            found.files.append(Path(place, RESULT_NAME))
        elif RESULT_NAME in folders:
            found.left_out.append(LeftOut(Path(place, RESULT_NAME), "is a folder, not a result: rename it."))
        elif any(name in BEGUN for name in (*folders, *names)):
            reason = f"has not finished: it holds no {RESULT_NAME}."
            found.left_out.append(LeftOut(Path(place), reason))
        links += _linked(Path(place), folders)
    found.files += links  # last, so that a result that lies here too keeps its own name
    return found


def _linked(place: Path, folders: Sequence[str]) -> Iterator[Path]:
    """Results of runs whose folders are links, which no walk enters."""
    for name in folders:
        path = place / name / RESULT_NAME
        if os.path.islink(place / name) and os.path.lexists(path):  # noqa: PTH114 - as above
            yield path
