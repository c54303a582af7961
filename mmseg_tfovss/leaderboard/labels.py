"""What tells results under one printed name apart: the settings, weights and words that they do not share."""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence

from mmseg_tfovss.evaluation.result import Result

# Settings that belong to a dataset: they differ between the columns of one row by nature. So may those that say how
# much is computed at a time, which depends on the images' size.
_OF_DATASET = ("dataset", "prepared_by", "test_dataloader.dataset", "test_evaluator", "model.decode_head.vocabulary")
_AT_A_TIME = ("test_dataloader.batch_size", "model.window_batch")
_SAFE = re.compile(r"[\w./+: -]+")  # in a text that needs no quotation marks
_PREFIX = 7  # of a hash, if it is enough
_LONG, _HEAD = 60, 40  # characters of a value
_MOST = 8  # settings in a label


def tell_apart(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """What each result's label must say so that no two different runs look like one.

    Results with the same method, backbone, setting, precision, protocol and command-line changes may still be different
    runs. Where two of them are of one dataset, every setting in which they differ is named, with its value, in all
    results of that name: so results of other datasets stand in the row with the same values. A setting that belongs to
    a dataset (its files, its words) is named in that dataset's results only, and so are words that differ under equal
    settings, and the hash of settings that are not recorded. Different weights are named wherever they are.

    Args:
        results: of different runs; two results of the same run cannot be told apart.

    Returns:
        ``("model.alpha=0.5", "weights 1a2b3c4")`` and the like, mostly empty, one per result.
    """
    labels: list[tuple[str, ...]] = [()] * len(results)
    for places in _grouped(range(len(results)), lambda place: _printed_name(results[place])):
        for place, label in zip(places, _labels([results[place] for place in places]), strict=True):
            labels[place] = label
    return labels


def change_items(overrides: Mapping[str, str]) -> list[str]:
    """What the command line changed: full dotted names and values, long ones shortened but never alike."""
    return [f"{name}={_shortened(value)}" for name, value in overrides.items()]


def _printed_name(result: Result) -> Hashable:
    names = ("protocol", "method", "backbone", "setting", "precision")
    return (*(result[name] for name in names), tuple(sorted(result["overrides"].items())))  # type: ignore[literal-required]


def _labels(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """Labels of results with one printed name."""
    everywhere = _differing_names(results, of_dataset=False)
    labels = [_settings_label(result, everywhere) for result in results]
    unnamed = [not result["settings"] for result in results]
    for places in _grouped(range(len(results)), lambda place: results[place]["dataset"]):
        _add_hashes(labels, places, "settings", [result["config_hash"] for result in results], unnamed)
    for places in _alike(range(len(results)), labels):
        _add_hashes(labels, places, "weights", [result["weights_hash"] for result in results])
    for places in _grouped(range(len(results)), lambda place: (labels[place], results[place]["dataset"])):
        if len(places) > 1:
            _tell_datasets_apart(labels, places, results)
    return labels


def _tell_datasets_apart(labels: list[tuple[str, ...]], places: Sequence[int], results: Sequence[Result]) -> None:
    """Add what tells results of one dataset apart that are alike so far; changes ``labels``."""
    names = _differing_names([results[place] for place in places], of_dataset=True)
    for place in places:
        labels[place] = (*labels[place], *_settings_label(results[place], names))
    for name, key in (("settings", "config_hash"), ("words", "vocabulary_hash")):
        for alike in _alike(places, labels):
            _add_hashes(labels, alike, name, [result[key] for result in results])  # type: ignore[literal-required]


def _add_hashes(
    labels: list[tuple[str, ...]],
    places: Sequence[int],
    name: str,
    hashes: Sequence[str],
    shown: Sequence[bool] | None = None,
) -> None:
    """Name the hashes at some places if they differ; changes ``labels``."""
    short = short_hashes([hashes[place] for place in places])
    for place in places:
        if len(short) > 1 and (shown is None or shown[place]):
            labels[place] = (*labels[place], f"{name} {short[hashes[place]]}")


def _alike(places: Iterable[int], labels: Sequence[tuple[str, ...]]) -> list[list[int]]:
    return _grouped(places, lambda place: labels[place])


def _differing_names(results: Sequence[Result], *, of_dataset: bool) -> list[str]:
    """Settings in which two results of one dataset differ, each under one name only."""
    known = [result for result in results if result["settings"]]
    found: dict[str, None] = {}
    for places in _grouped(range(len(known)), lambda place: known[place]["dataset"]):
        settings = [known[place]["settings"] for place in places]
        for name in dict.fromkeys(name for one in settings for name in one):
            if _is_of_dataset(name) == of_dataset and len({one.get(name) for one in settings}) > 1:
                found[name] = None
    # One value may stand in several places, as an image size does in a config and in its pipeline.
    once: dict[Hashable, str] = {}
    for name in sorted(found, key=lambda name: (name.count("."), name)):
        once.setdefault((name.rpartition(".")[2], tuple(one["settings"].get(name) for one in known)), name)
    return [name for name in found if name in once.values()]


def _settings_label(result: Result, names: Collection[str]) -> tuple[str, ...]:
    if not result["settings"]:
        return ()
    items = [_item(name, result["settings"].get(name)) for name in names]
    if len(items) > _MOST:
        rest = _digest(json.dumps(items[_MOST:]))
        items = [*items[:_MOST], f"and {len(items) - _MOST} more settings {rest}"]
    return tuple(items)


def _item(name: str, value: str | None) -> str:
    return f"{name} not set" if value is None else f"{name}={_shortened(_plain(value))}"


def _plain(value: str) -> str:
    """A setting, which is JSON, for people: without quotation marks where it can be taken for nothing else."""
    try:
        text = json.loads(value)
    except (ValueError, RecursionError):
        return repr(value)
    return text if isinstance(text, str) and _SAFE.fullmatch(text) and not _is_json(text) else value


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _shortened(value: str) -> str:
    return value if len(value) <= _LONG else f"{value[:_HEAD]}... {_digest(value)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_PREFIX]


def short_hashes(hashes: Iterable[str]) -> dict[str, str]:
    """Prefixes that tell different hashes apart."""
    different = sorted(set(hashes))
    length = _PREFIX
    longest = max(map(len, different), default=0)
    while length < longest and max(Counter(text[:length] for text in different).values()) > 1:
        length += 1
    return {text: text[:length] for text in different}


def _is_of_dataset(name: str) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in (*_OF_DATASET, *_AT_A_TIME))


def _grouped(places: Iterable[int], key: Callable[[int], Hashable]) -> list[list[int]]:
    """Places with the same key, together, in the order of the first of each."""
    groups: defaultdict[Hashable, list[int]] = defaultdict(list)
    for place in places:
        groups[key(place)].append(place)
    return list(groups.values())
