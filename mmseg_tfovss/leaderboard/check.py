"""What a result must hold so that the tables can show it."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal

from mmseg_tfovss.evaluation.result import PROTOCOLS, SCORES, Result
from mmseg_tfovss.leaderboard.columns import AVERAGES, PLAIN_AVERAGE
from mmseg_tfovss.leaderboard.parts import PART

KEY: tuple[Literal["dataset", "protocol", "setting", "method", "backbone", "precision"], ...] = (
    "dataset",
    "protocol",
    "setting",
    "method",
    "backbone",
    "precision",
)
_NAMES = ("dataset", "method", "backbone")  # which cannot be empty
_HASHES = ("config_hash", "weights_hash", "vocabulary_hash", "code_hash", "dataset_hash")
_TEXTS = (*KEY, *_HASHES, "vocabulary", "device", "finished_at")
_MAYBE_TEXTS = ("git_commit", "vocabulary_version", "package")
_TEXTS_BY_NAME = ("overrides", "settings", "inputs", "versions")
_MOST = 10**9  # images, seconds per image, MiB
# Other columns of the tables.
_TAKEN = (
    *AVERAGES,
    PLAIN_AVERAGE,
    "Protocol",
    "Method",
    "Backbone",
    "Setting",
    "Precision",
    "Kind",
    "Partial",
    "Source",
)
_TAKEN_ENDINGS = (" published", " difference", " source")
_BACKGROUND = " with background "  # in the name of a vocabulary


def check_result(result: Result) -> None:
    """Refuse a result whose content the tables cannot show.

    Raises:
        ValueError: a score is missing or no percentage, a name is no text or the title of another column, a count is no
            count, or the class list, made for these numbers and part of this package, has another version today.
    """
    _check_texts(result)
    wrong = list(_unusable(dict(result)))
    if wrong:
        raise ValueError(f"has no usable {', '.join(wrong)}: run the test again.")
    for name, scores in result["per_class"].items():
        _check_class(name, scores)
    if result["protocol"] not in PROTOCOLS:
        raise ValueError(f"has the protocol {result['protocol']!r}; valid: {', '.join(PROTOCOLS)}.")
    _check_dataset(result["dataset"])
    _check_class_list(result)


def _check_texts(result: Result) -> None:
    try:
        json.dumps(result, ensure_ascii=False).encode("utf-8", "surrogateescape")  # bytes of a path may be anything
    except UnicodeEncodeError as error:
        raise ValueError(f"holds {error.object[error.start]!r}, which is no text: run the test again.") from error


def _unusable(result: Mapping[str, Any]) -> Iterator[str]:
    """Names of what has another type or range than it must have."""
    metrics = result["metrics"]
    yield from (name for name in _TEXTS if not isinstance(result[name], str))
    yield from (name for name in _NAMES if isinstance(result[name], str) and not result[name].strip())
    yield from (name for name in _MAYBE_TEXTS if not isinstance(result.get(name), str | None))
    yield from (f"metrics.{name}" for name in SCORES if not _is_number(_member(metrics, name), 100))
    yield from (name for name in _TEXTS_BY_NAME if not _maps_texts(result[name]))
    if not isinstance(result["per_class"], Mapping):
        yield "per_class"
    if not (_is_count(result["num_images"]) and result["num_images"] > 0):
        yield "num_images"
    if not (result["expected_images"] is None or _is_count(result["expected_images"])):
        yield "expected_images"
    yield from (name for name in ("seconds_per_image", "peak_memory_mb") if not _is_number(result[name]))
    assumptions = result.get("assumptions", [])
    if not (isinstance(assumptions, list) and all(isinstance(text, str) for text in assumptions)):
        yield "assumptions"


def _check_class(name: str, scores: object) -> None:
    for score in ("IoU", "Acc"):
        value = _member(scores, score)
        if value is not None and not _is_number(value, 100):
            raise ValueError(f"has an {score} of the class {name!r} that is no percentage: run the test again.")


def _check_dataset(name: str) -> None:
    if name.strip() in _TAKEN or name.endswith(_TAKEN_ENDINGS) or PART.search(name):
        raise ValueError(f"has the dataset {name!r}, which is the title of another column: rename the dataset.")


def _check_class_list(result: Result) -> None:
    made_with, today = result["vocabulary_version"], _version_today(result["vocabulary"])
    if made_with and today and made_with != today:
        raise ValueError(
            f"is out of date: made with version {made_with} of the class list {result['vocabulary']}, which is now at"
            f" version {today}: run the test again."
        )


def _member(mapping: object, name: str) -> object:
    return mapping.get(name, "") if isinstance(mapping, Mapping) else ""


def _is_number(value: object, highest: float = _MOST) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= highest


def _is_count(value: object) -> bool:
    return isinstance(value, int) and _is_number(value)


def _maps_texts(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(text, str) for text in value.values())


@cache
def _version_today(source: str) -> str | None:
    """The version of a bundled class list in this package; None for a file, and for a list that is not bundled."""
    from mmseg_tfovss.vocabulary import available_vocabularies, load_vocabulary  # its import takes seconds

    name = source.partition(_BACKGROUND)[0]
    return load_vocabulary(name).version if name in available_vocabularies() else None
