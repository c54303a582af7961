"""What the leaderboard is made of: result files, and which of them do not count, by name and reason."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmseg_tfovss.evaluation.result import OVERLAYS, OVERLAYS_NAME, RESULT_NAME, Result, read_result
from mmseg_tfovss.leaderboard.check import KEY, check_result
from mmseg_tfovss.leaderboard.duplicates import newest_of_each
from mmseg_tfovss.leaderboard.files import LeftOut, find_results
from mmseg_tfovss.leaderboard.run import Run, image_count, is_partial
from mmseg_tfovss.plain import one_line, printable

_OVERLAYS = 12  # links per run
_LONGEST = 600  # characters of a reason


@dataclass(frozen=True)
class Collected:
    """Every run below some folders: those that count, sorted, and what is left out."""

    runs: tuple[Run, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def results(self) -> list[Result]:
        """The runs' results."""
        return [run.result for run in self.runs]


def collect_results(folders: Sequence[Path]) -> Collected:
    """Read the results below the given folders.

    Left out, with the reason: runs that were begun and have no result, and named folders without any; files that
    cannot be read, lack something or have another schema version; *stale* ones, whose bundled class list has another
    version today; and *duplicates*, older results of the same run (same settings, weights and words), see
    :func:`~mmseg_tfovss.leaderboard.duplicates.newest_of_each`. A file that is found twice counts once. No file keeps
    another one from counting, whatever it holds.

    Args:
        folders: result folders, folders of result folders, or result files.

    Returns:
        Runs sorted by dataset, protocol, then falling mIoU, and what is left out.

    Raises:
        FileNotFoundError: there is no result at all.
    """
    found = find_results(folders)
    if not found.files:
        raise FileNotFoundError(_nothing(found.unfinished))
    left_out = list(found.unfinished)
    runs = []
    for path in sorted(found.files):
        try:
            runs.append(_read(path))
        # The file may hold anything, and so may fail in any way; the others must not be lost by it.
        except Exception as error:
            left_out.append(LeftOut(path, _reason(path, error)))
    runs, duplicates = newest_of_each(runs)
    runs.sort(key=lambda run: _order(run.result))
    left_out = sorted(map(_bounded, [*left_out, *duplicates]), key=lambda item: item.path)
    return Collected(tuple(runs), tuple(left_out))


def _read(path: Path) -> Run:
    result = read_result(path)
    check_result(result)
    return Run(result, path, _find_overlays(path.parent))


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}."
    if not isinstance(error, ValueError | OSError):
        return f"is not a result file ({type(error).__name__}): delete it and run the test again."
    return one_line(error).removeprefix(f"{one_line(path)} ")


def _bounded(item: LeftOut) -> LeftOut:
    """Its reason as one printable line that is not endless, whatever the files hold."""
    reason = one_line(item.reason)
    return LeftOut(item.path, reason if len(reason) <= _LONGEST else f"{reason[:_LONGEST]} ...")


def _nothing(unfinished: Sequence[LeftOut]) -> str:
    [first, *others] = unfinished
    more = f", and so for {len(others)} more" if others else ""
    return (
        f"No {RESULT_NAME} was found: {printable(first.path)} {first.reason.rstrip('.')}{more}. Run a test first, for"
        " example tfovss test sclip_vit-pocket_pocket_all, or tfovss benchmark-pocket for all methods."
    )


def _order(result: Result) -> tuple[object, ...]:
    part = image_count(result) if is_partial(result) else ""  # behind the whole ones
    return (result["dataset"], part, result["protocol"], -result["metrics"]["mIoU"], *(result[name] for name in KEY))


def _find_overlays(folder: Path) -> tuple[Path, ...]:
    found = sorted([*folder.glob(OVERLAYS), *(folder / OVERLAYS_NAME).glob(OVERLAYS)])
    return tuple(path for path in found if os.path.isfile(path))[:_OVERLAYS]  # noqa: PTH113 - Path.is_file may raise
