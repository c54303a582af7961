"""The result file: one JSON per run, numbers together with where they come from."""

import json
import math
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypedDict, Union, get_args, get_origin, get_type_hints, is_typeddict

from mmseg_tfovss.earlier_files import numbered
from mmseg_tfovss.evaluation.scores import Scores
from mmseg_tfovss.whole_file import whole_file

SCHEMA_VERSION = 1
RESULT_NAME = "result.json"
OVERLAYS_NAME, OVERLAYS = "overlays", "*_overlay.png"  # pictures of some images: a folder beside it, and their names
PROTOCOLS = ("paper", "unified")
SCORES = ("mIoU", "pAcc", "mAcc", "fwIoU")
_LARGE = 1e15  # no count, time or memory is
_LARGEST = 16 << 20  # bytes; real ones have some kilobytes
_DIGITS = 1000


# Keys that the first results lacked, and what they mean then.
_LATER_KEYS: dict[str, Any] = {
    "expected_images": None,
    "vocabulary": "not recorded",
    "vocabulary_version": None,
    "setting": "",
    "code_hash": "not recorded",
    "dataset_hash": "not recorded",
    "inputs": {},
    "settings": {},
    "package": "not recorded",
    "assumptions": [],
}


class ClassScores(TypedDict):
    """Scores of one class in percent; ``None`` where a class does not occur."""

    IoU: float | None
    Acc: float | None


class Result(TypedDict):
    """What ``result.json`` holds."""

    schema_version: int
    method: str  # class name of the method, e.g. SCLIP
    backbone: str  # architecture and weights, e.g. ViT-B-16/openai; further networks after " + "
    dataset: str  # dataset key, e.g. voc21
    protocol: Literal["paper", "unified"]
    setting: str  # which of several settings that the authors state, e.g. "224 pixels"; mostly empty
    overrides: dict[str, str]  # command-line changes to the config that can change a number
    precision: str  # of the image tower: fp32, bf16, fp16
    device: str  # what it ran on, for seconds_per_image
    metrics: dict[str, float]  # mIoU, pAcc, mAcc, fwIoU in percent
    per_class: dict[str, ClassScores]
    num_images: int
    expected_images: int | None  # what the benchmark has; None for a dataset that this package does not know
    seconds_per_image: float  # wall clock of the test loop / images: loading, network, labels, metric
    peak_memory_mb: float  # GPU memory allocated, or the resident memory of the process on a CPU
    config_hash: str  # sha256 of the resolved config, without what cannot change a number
    code_hash: str  # sha256 of the source files that the run went through
    dataset_hash: str  # sha256 of the names and contents of images and annotations
    inputs: dict[str, str]  # files and folders that were named or read, and sha256 of their contents
    vocabulary: str  # name of a bundled list, or the file
    vocabulary_version: str | None  # of a bundled list
    vocabulary_hash: str  # sha256 of classes and queries
    weights_hash: str  # sha256 of all CLIP tensors; of several networks' hashes where there are more
    git_commit: str | None  # of the package's files, with "-dirty" when they differ; None where git does not have them
    package: str  # its version, and whether it is source or a wheel, with the hash of its files
    settings: dict[str, str]  # of the config, without what cannot change a number: JSON by dotted name
    assumptions: list[str]  # what the files of weights do not say and was assumed, e.g. "QuickGELU for clip.pt"
    versions: dict[str, str]  # python and the packages that numbers depend on
    finished_at: str  # UTC, ISO 8601


def class_scores(names: list[str], scores: Scores) -> dict[str, ClassScores]:
    """Scores per class name; a name that occurs twice gets its class id appended."""
    table: dict[str, ClassScores] = {}
    for number, (name, iou, acc) in enumerate(zip(names, scores.iou.tolist(), scores.acc.tolist(), strict=True)):
        key = name if name not in table else f"{name} ({number})"
        table[key] = {"IoU": _number(iou), "Acc": _number(acc)}
    return table


def write_result(result: Result, folder: Path) -> Path:
    """Write ``result.json``: it is there completely or not at all.

    Args:
        result: the finished run.
        folder: created if needed.

    Returns:
        The file's path.

    Raises:
        OSError: the folder cannot be written or the disk is full; an earlier result stays as it was.
    """
    target = folder / RESULT_NAME
    with whole_file(target) as scratch, scratch.open("w", encoding="utf-8") as file:
        json.dump(result, file, indent=2, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    _write_down_names(folder)
    return target


def _write_down_names(folder: Path) -> None:
    """After a power cut, too, the file has its name: what it was made from may be removed now."""
    with suppress(OSError):  # some file systems do not open folders
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def read_result(path: Path) -> Result:
    """Read a result file.

    Args:
        path: the file, or the folder that holds it.

    Returns:
        Its content.

    Raises:
        FileNotFoundError: there is no result: the run is not finished.
        ValueError: the file is damaged, or made by another version of the schema.
    """
    path = path / RESULT_NAME if path.is_dir() else path
    if not path.is_file():
        if os.path.lexists(path):
            raise ValueError(f"{path} is no regular file: delete it and run the test again.")
        raise FileNotFoundError(f"{path} does not exist: that run has not finished (tfovss test writes it last).")
    try:
        result = _read_json(path)
    except ValueError as error:
        raise ValueError(f"{path} is not a result file ({error}): delete it and run the test again.") from error
    if not isinstance(result, dict) or type(result.get("schema_version")) is not int:
        result = {}
    if result.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(f"{path} does not have the schema version {SCHEMA_VERSION}: run the test again.")
    result = {**_LATER_KEYS, **result}
    missing = Result.__required_keys__ - set(result)
    if missing:
        raise ValueError(f"{path} lacks {', '.join(sorted(missing))}: run the test again.")
    return result  # type: ignore[return-value]


def check_types(result: Result) -> None:
    """Refuse a result whose entries are not of the kinds that :class:`Result` names.

    Raises:
        ValueError: the entries are named.
    """
    hints = get_type_hints(Result)
    wrong = [name for name, hint in hints.items() if not _fits(result[name], hint)]  # type: ignore[literal-required]
    missing = [f"metrics.{name}" for name in SCORES if "metrics" not in wrong and name not in result["metrics"]]
    if wrong or missing:
        raise ValueError(f"The result has no usable {', '.join([*wrong, *missing])}: run the test again.")


def _fits(value: object, hint: Any) -> bool:  # noqa: ANN401 - types have no common one
    """Whether a value of a JSON file is of a type, its parts included; numbers must be finite."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value in parts
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is list:
        return isinstance(value, list) and all(_fits(item, parts[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(item, parts[1]) for item in value.values())
    if is_typeddict(hint):
        inner = get_type_hints(hint)
        return isinstance(value, dict) and all(name in value and _fits(value[name], inner[name]) for name in inner)
    if hint in (int, float):
        return isinstance(value, int | hint) and not isinstance(value, bool) and -_LARGE < value < _LARGE
    return isinstance(value, hint)


def set_aside(folder: Path, *, overlays: bool = True) -> Path | None:
    """Rename an earlier result so that ``result.json`` is absent while a new run is under way; nothing is lost.

    Overlays get the number of their result; those of a run that has left no result get one that no result has.

    Args:
        folder: of the run.
        overlays: whether overlays that lie there are an earlier run's; else they are those of the run that goes on.

    Returns:
        The result's new name, or None if there was no result.

    Raises:
        OSError: the folder cannot be written.
    """
    current, pictures = folder / RESULT_NAME, folder / OVERLAYS_NAME
    has_result = os.path.lexists(current)
    moves_pictures = overlays and pictures.is_dir()
    if not has_result and not moves_pictures:
        return None
    number = 1
    while any(os.path.lexists(path) for path in (numbered(current, number), numbered(pictures, number))):
        number += 1
    kept = numbered(current, number)
    # The result first: pictures that a kill leaves behind are set aside next time, under another number.
    if has_result:
        current.rename(kept)
    if moves_pictures:
        pictures.rename(numbered(pictures, number))
    return kept if has_result else None


def _read_json(path: Path) -> Any:  # noqa: ANN401
    """What a file holds, however damaged: a ValueError says what is wrong with it."""
    with path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise ValueError(f"larger than {_LARGEST >> 20} MiB")
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_mapping, parse_int=_integer)
    except RecursionError as error:
        raise ValueError("too deeply nested") from error


def _mapping(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all different: of two values of one key, nothing says which is meant."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:40]!r} occurs twice")
        found[key] = value
    return found


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
