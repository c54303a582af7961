"""What a result must hold so that the tables can show it."""

import json
import math
from collections.abc import Mapping
from functools import cache
from typing import Literal

from mmseg_tfovss.evaluation.result import PROTOCOLS, SCORES, Result

KEY: tuple[Literal["dataset", "protocol", "setting", "method", "backbone", "precision"], ...] = (
    "dataset",
    "protocol",
    "setting",
    "method",
    "backbone",
    "precision",
)
_TEXTS = (*KEY, "finished_at", "weights_hash", "vocabulary_hash", "code_hash")
_MAPPINGS = ("overrides", "per_class")
_MOST_IMAGES = 10**9
_BACKGROUND = " with background "  # in the name of a vocabulary


def check_result(result: Result) -> None:
    """Refuse a result whose content the tables cannot show.

    Raises:
        ValueError: a score is missing or no percentage, a name is no text, a count is no count, or the class list, made
            for these numbers and part of this package, has another version today.
    """
    json.dumps(result, ensure_ascii=False).encode()  # a ValueError for text that no file can hold
    wrong = [name for name in _TEXTS if not isinstance(result[name], str)]  # type: ignore[literal-required]
    wrong += [f"metrics.{name}" for name in SCORES if not _is_number(_member(result["metrics"], name), 100)]
    wrong += [name for name in _MAPPINGS if not isinstance(result[name], Mapping)]  # type: ignore[literal-required]
    wrong += [] if _is_count(result["num_images"]) else ["num_images"]
    wrong += [] if result["expected_images"] is None or _is_count(result["expected_images"]) else ["expected_images"]
    wrong += [] if _is_number(result["seconds_per_image"]) else ["seconds_per_image"]
    wrong += [] if isinstance(result["git_commit"], str | None) else ["git_commit"]
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


def _member(mapping: object, name: str) -> object:
    return mapping.get(name, "") if isinstance(mapping, Mapping) else ""


def _is_number(value: object, highest: float = math.inf) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 <= value <= highest and value < math.inf  # type: ignore[operator]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and _is_number(value, _MOST_IMAGES)


@cache
def _version_today(source: str) -> str | None:
    """The version of a bundled class list in this package; None for a file, and for a list that is not bundled."""
    from mmseg_tfovss.vocabulary import available_vocabularies, load_vocabulary  # its import takes seconds

    name = source.partition(_BACKGROUND)[0]
    return load_vocabulary(name).version if name in available_vocabularies() else None
