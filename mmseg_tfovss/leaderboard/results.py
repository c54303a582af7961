"""What the leaderboard is made of: result files, and which of them do not count, by name and reason."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmseg_tfovss.evaluation.result import OVERLAYS, OVERLAYS_NAME, RESULT_NAME, Result, read_result
from mmseg_tfovss.leaderboard.check import KEY, check_result
from mmseg_tfovss.leaderboard.files import LeftOut, find_results, printable

_OVERLAYS = 12  # links per run
_DIGITS = 7  # of a commit


@dataclass(frozen=True)
class Run:
    """A result that counts.

    Attributes:
        result: its content.
        path: the file.
        overlays: pictures ``*_overlay.png`` in the run's folder, or in ``overlays`` in it.
    """

    result: Result
    path: Path
    overlays: tuple[Path, ...] = ()


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
    version today; and *duplicates*, all of several results of one run (method, backbone, dataset, protocol, setting,
    precision and command-line changes), because nothing says which one is meant. A file that is found twice counts
    once.

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
    same_run = defaultdict(list)
    for path in found.files:
        try:
            result = _read(path)
        except (ValueError, OSError) as error:
            left_out.append(LeftOut(path, " ".join(str(error).split()).removeprefix(f"{path} ")))
            continue
        key = (*(result[name] for name in KEY), str(sorted(result["overrides"].items())))
        same_run[key].append(Run(result, path, _find_overlays(path.parent)))
    runs = []
    for twins in same_run.values():
        if len(twins) == 1:
            runs += twins
        left_out += [_duplicate(run, twins) for run in twins if len(twins) > 1]
    runs.sort(key=lambda run: _order(run.result))
    return Collected(tuple(runs), tuple(sorted(left_out, key=lambda item: item.path)))


def image_count(result: Result) -> str:
    """The number of images, and how many there should have been if that is another number."""
    images, expected = result["num_images"], result["expected_images"]
    return str(images) if expected in (None, images) else f"{images} of {expected}"


def is_partial(result: Result) -> bool:
    """Whether the result is of another number of images than the benchmark has."""
    return result["expected_images"] not in (None, result["num_images"])


def changes(result: Result) -> str:
    """What the command line changed of the protocol, short."""
    return ", ".join(f"{name.rsplit('.', 1)[-1]}={value}" for name, value in result["overrides"].items())


def commit_of(result: Result) -> str:
    """The commit's first digits, with ``-dirty`` for uncommitted code; empty where none is known."""
    commit, dirty, _ = (result["git_commit"] or "").partition("-dirty")
    return commit[:_DIGITS] + dirty


def _read(path: Path) -> Result:
    try:
        result = read_result(path)
        check_result(result)
    except RecursionError as error:
        raise ValueError("is not a result file (too deeply nested): delete it and run the test again.") from error
    return result


def _nothing(unfinished: Sequence[LeftOut]) -> str:
    [first, *others] = unfinished
    more = f", and so for {len(others)} more" if others else ""
    return (
        f"No {RESULT_NAME} was found: {printable(first.path)} {first.reason.rstrip('.')}{more}. Run a test first, for"
        " example python tools/test.py configs/sclip/sclip_vit-pocket_pocket_all.py, or make benchmark for all of them."
    )


def _order(result: Result) -> tuple[object, ...]:
    return (result["dataset"], result["protocol"], -result["metrics"]["mIoU"], *(result[name] for name in KEY))


def _duplicate(run: Run, twins: Sequence[Run]) -> LeftOut:
    others = " and ".join(printable(twin.path) for twin in twins if twin is not run)
    what = ", ".join(run.result[name] for name in KEY if run.result[name])
    return LeftOut(run.path, f"is a duplicate: {others} holds the same run ({what}); name or keep one of them.")


def _find_overlays(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted([*folder.glob(OVERLAYS), *(folder / OVERLAYS_NAME).glob(OVERLAYS)])[:_OVERLAYS])
