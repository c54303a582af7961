"""How the names of images and of their masks differ: learnt from a few of them, tried on all."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

_LOOKED_AT = 25  # images from which rules are learnt
_RULES = 40  # that are tried on all names
_SEPARATORS = "_-. "
_NAMED = 3  # files named in a message


class Rule(NamedTuple):
    """Names of an image and its mask are alike but for a part of each: at the end, or in front."""

    image: str
    mask: str
    in_front: bool

    def core(self, name: str, part: str) -> str | None:
        """A name without its part; None: it has not got that."""
        folder, _, stem = name.rpartition("/")
        if self.in_front:
            return f"{folder}/{stem.removeprefix(part)}" if stem.startswith(part) else None
        return f"{folder}/{stem.removesuffix(part)}" if stem.endswith(part) else None


def find_rule(images: Mapping[str, str], masks: Mapping[str, str]) -> Rule:
    """The rule by which most images have a mask.

    Args:
        images: files by their names without ending, all below their folder.
        masks: likewise.

    Raises:
        ValueError: none, or several at once.
    """
    scores = {rule: _score(rule, images, masks) for rule in _rules(images, masks)}
    best = max(scores.values(), default=0)
    if not best:
        raise ValueError(
            f"No mask is called like an image ({listed(list(images.values()))}; {listed(list(masks.values()))}): say"
            " what their names end in, with --image-suffix and --mask-suffix."
        )
    rules = [rule for rule, score in scores.items() if score == best]
    kinds = sorted({rule.mask for rule in rules})
    if len(kinds) > 1:
        ends = ", ".join(repr(f"{kind}{Path(next(iter(masks.values()))).suffix}") for kind in kinds[:_NAMED])
        raise ValueError(f"Every image has several masks: choose one with --mask-suffix ({ends}).")
    return rules[0]


def _rules(images: Mapping[str, str], masks: Mapping[str, str]) -> list[Rule]:
    """Rules that pair some image with some mask, the most frequent first."""
    votes = Counter([Rule("", "", False)])
    step = max(1, len(images) // _LOOKED_AT)
    flipped = [_flipped(mask) for mask in masks]
    for image in list(images)[::step]:
        votes.update(Rule(own, other, False) for own, other in _endings(image, list(masks)))
        votes.update(Rule(own[::-1], other[::-1], True) for own, other in _endings(_flipped(image), flipped))
    return [rule for rule, _ in votes.most_common(_RULES)]


def _endings(image: str, masks: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What follows the longest beginning that an image's name shares with one of a mask, for all such masks."""
    start = len(image.rpartition("/")[0])
    near = [mask for mask in masks if mask.rpartition("/")[0] == image[:start]]
    shared = max((_shared(image, mask) for mask in near), default=0)
    if any(image[shared:] and mask[shared:] for mask in near if mask.startswith(image[:shared])):
        shared = len(image[:shared].rstrip(_SEPARATORS))
    for mask in near:
        if shared > start + bool(start) and mask.startswith(image[:shared]):
            own, other = image[shared:], mask[shared:]
            if _stand_apart(own, other):
                yield own, other


def _stand_apart(own: str, other: str) -> bool:
    """Whether two endings can be what tells images from masks: no numbers, and no parts of longer words."""
    if any(part.lstrip(_SEPARATORS)[:1].isdigit() for part in (own, other)):
        return False
    return not (own and other) or not (own[0].isalnum() or other[0].isalnum())


def _shared(one: str, other: str) -> int:
    """Characters that two names share at their beginnings."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _flipped(name: str) -> str:
    """A name read backwards, below the folders as they are."""
    folder, slash, stem = name.rpartition("/")
    return f"{folder}{slash}{stem[::-1]}"


def _score(rule: Rule, images: Mapping[str, str], masks: Mapping[str, str]) -> int:
    cores = {rule.core(mask, rule.mask) for mask in masks} - {None}
    return sum(rule.core(image, rule.image) in cores for image in images)


def listed(names: Sequence[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
