"""Where results lie below some folders, and which runs there have not finished."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
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
        unfinished: folders without a result: of runs that were begun, and what was named but holds no result.
    """

    files: tuple[Path, ...]
    unfinished: tuple[LeftOut, ...]


def find_results(folders: Sequence[Path]) -> Found:
    """Look for result files, and for runs that were begun but have none.

    Args:
        folders: result folders, folders of result folders, or result files.

    Returns:
        What is there; nothing is read.
    """
    files: dict[Path, Path] = {}
    unfinished: dict[Path, LeftOut] = {}
    for folder in folders:
        here, begun = _look_below(folder)
        for path in here:
            files.setdefault(path.resolve(), path)
        for path in begun:
            unfinished.setdefault(path.resolve(), LeftOut(path, f"has not finished: it holds no {RESULT_NAME}."))
        if not here and not begun:
            reason = f"holds no {RESULT_NAME}: no run in it has finished."
            if not folder.exists():
                reason = "does not exist: its run was never begun, or the name is misspelt."
            unfinished.setdefault(folder.resolve(), LeftOut(folder, reason))
    return Found(tuple(files.values()), tuple(unfinished.values()))


def _look_below(folder: Path) -> tuple[list[Path], list[Path]]:
    """Result files, and folders of unfinished runs."""
    if folder.is_file():
        return [folder], []
    files, begun = [], []
    for place, folders, names in os.walk(folder):
        folders.sort()
        if RESULT_NAME in names:
            files.append(Path(place, RESULT_NAME))
        elif any(name in BEGUN for name in (*folders, *names)):
            begun.append(Path(place))
    return files, begun


def printable(text: object) -> str:
    r"""A path, or text with paths, as every file and terminal can hold it: bytes that are no UTF-8 as ``\xff``."""
    return str(text).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
