"""What the leaderboard is made of: result files, and which of them do not count, by name and reason."""

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from mmseg_tfovss.evaluation.result import OVERLAYS, OVERLAYS_NAME, PROTOCOLS, RESULT_NAME, Result, read_result

SCORES = ("mIoU", "pAcc", "mAcc", "fwIoU")
_KEY: tuple[Literal["dataset", "protocol", "setting", "method", "backbone", "precision"], ...] = (
    "dataset",
    "protocol",
    "setting",
    "method",
    "backbone",
    "precision",
)
_TEXTS = (*_KEY, "finished_at", "weights_hash", "vocabulary_hash")
_OVERLAYS = 12  # links per run
_BACKGROUND = " with background "  # in the name of a vocabulary


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
class LeftOut:
    """A result file that does not count.

    Attributes:
        path: the file.
        reason: a sentence without its subject.
    """

    path: Path
    reason: str


@dataclass(frozen=True)
class Collected:
    """Every result file below some folders: sorted runs, and those that are left out."""

    runs: tuple[Run, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def results(self) -> list[Result]:
        """The runs' results."""
        return [run.result for run in self.runs]


def collect_results(folders: Sequence[Path]) -> Collected:
    """Read the results below the given folders.

    Left out, with the reason: files that cannot be read, lack something or have another schema version; *stale* ones,
    whose bundled class list has another version today; and *duplicates*, all of several results of one run (method,
    backbone, dataset, protocol, setting, precision and command-line changes), because nothing says which one is meant.
    A file that is found twice counts once.

    Args:
        folders: result folders, folders of result folders, or result files.

    Returns:
        Runs sorted by dataset, protocol, then falling mIoU, and what is left out.

    Raises:
        FileNotFoundError: a folder does not exist, or holds no result.
    """
    left_out = []
    same_run = defaultdict(list)
    for path in result_files(folders):
        try:
            result = read_result(path)
            check_result(result)
        except (ValueError, OSError) as error:
            left_out.append(LeftOut(path, " ".join(str(error).split()).removeprefix(f"{path} ")))
            continue
        key = (*(result[name] for name in _KEY), str(sorted(result["overrides"].items())))
        same_run[key].append(Run(result, path, _find_overlays(path.parent)))
    runs = []
    for twins in same_run.values():
        if len(twins) == 1:
            runs += twins
        left_out += [_duplicate(run, twins) for run in twins if len(twins) > 1]
    runs.sort(key=lambda run: _order(run.result))
    return Collected(tuple(runs), tuple(sorted(left_out, key=lambda item: item.path)))


def result_files(folders: Sequence[Path], *, waiting: bool = False) -> list[Path]:
    """The result files below folders, each once.

    Args:
        folders: see :func:`collect_results`.
        waiting: a folder without a result is no mistake: its runs may be under way.

    Raises:
        FileNotFoundError: see :func:`collect_results`.
    """
    found: dict[Path, Path] = {}
    for folder in folders:
        for path in _files_below(folder, waiting):
            found.setdefault(path.resolve(), path)
    return list(found.values())


def check_result(result: Result) -> None:
    """Refuse a result whose content the tables cannot show.

    Raises:
        ValueError: a score is missing or no percentage, a name is no text, or the class list, made for these numbers
            and part of this package, has another version today.
    """
    json.dumps(result, ensure_ascii=False).encode()  # a ValueError for text that no file can hold
    wrong = [name for name in _TEXTS if not isinstance(result[name], str)]  # type: ignore[literal-required]
    wrong += [f"metrics.{name}" for name in SCORES if not _is_number(_member(result["metrics"], name), 100)]
    wrong += [name for name in ("overrides", "per_class") if not isinstance(result[name], Mapping)]
    wrong += [] if _is_number(result["num_images"]) else ["num_images"]
    wrong += [] if _is_number(result["seconds_per_image"]) else ["seconds_per_image"]
    if wrong:
        raise ValueError(f"has no usable {', '.join(wrong)}: run the test again.")
    for name, scores in result["per_class"].items():
        iou = _member(scores, "IoU")
        if iou is not None and not _is_number(iou, 100):
            raise ValueError(f"has an IoU of the class {name!r} that is no percentage: run the test again.")
    if result["protocol"] not in PROTOCOLS:
        raise ValueError(f"has the protocol {result['protocol']!r}; valid: {', '.join(PROTOCOLS)}.")
    _check_class_list(result)


def _check_class_list(result: Result) -> None:
    made_with, today = result["vocabulary_version"], _version_today(str(result["vocabulary"]))
    if made_with and today and made_with != today:
        raise ValueError(
            f"is stale: made with version {made_with} of the class list {result['vocabulary']}, which is now at version"
            f" {today}: run the test again."
        )


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


def _files_below(folder: Path, waiting: bool) -> list[Path]:
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise FileNotFoundError(f"The result folder {folder} does not exist.")
    files = sorted(folder.rglob(RESULT_NAME))
    if not files and not waiting:
        raise FileNotFoundError(
            f"No {RESULT_NAME} below {folder}: no run in it has finished. Run one first, for example"
            " python tools/test.py configs/sclip/sclip_vit-pocket_pocket_all.py, or make benchmark for all of them."
        )
    return files


def _order(result: Result) -> tuple[object, ...]:
    return (result["dataset"], result["protocol"], -result["metrics"]["mIoU"], *(result[name] for name in _KEY))


def _duplicate(run: Run, twins: Sequence[Run]) -> LeftOut:
    others = " and ".join(str(twin.path) for twin in twins if twin is not run)
    what = ", ".join(run.result[name] for name in _KEY if run.result[name])
    return LeftOut(run.path, f"is a duplicate: {others} holds the same run ({what}); name or keep one of them.")


def _find_overlays(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted([*folder.glob(OVERLAYS), *(folder / OVERLAYS_NAME).glob(OVERLAYS)])[:_OVERLAYS])


def _member(mapping: object, name: str) -> object:
    return mapping.get(name, "") if isinstance(mapping, Mapping) else ""


def _is_number(value: object, highest: float = math.inf) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= highest


@cache
def _version_today(source: str) -> str | None:
    """The version of a bundled class list in this package; None for a file, and for a list that is not bundled."""
    from mmseg_tfovss.vocabulary import available_vocabularies, load_vocabulary  # its import takes seconds

    name = source.partition(_BACKGROUND)[0]
    return load_vocabulary(name).version if name in available_vocabularies() else None
