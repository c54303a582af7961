"""Which mask belongs to which image: by their names, whatever the two folders call them."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mmseg_tfovss.engine.samples import walk
from mmseg_tfovss.vocabulary.words import read_lines

PICTURES = frozenset((".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".ppm", ".jp2"))
_LOOKED_AT = 25  # images from which the rule of the names is learnt
_RULES = 40  # rules that are tried on all names
_NAMED = 3


class Pairs(NamedTuple):
    """What two folders hold.

    Attributes:
        pairs: image and mask, each by its path below its folder.
        alone: images without a mask.
        spare: masks without an image.
    """

    pairs: list[tuple[str, str]]
    alone: list[str]
    spare: list[str]


class _Rule(NamedTuple):
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


def find_pairs(images: Path, masks: Path, image_suffix: str | None = None, mask_suffix: str | None = None) -> Pairs:
    """Pair the images of a folder with the masks of another one, or of the same.

    The names may be equal, or differ at their ends (``0001.png``, ``0001_L.png``) or beginnings (``img_1``,
    ``mask_1``); folders in the two are the same ones. File endings may differ.

    Args:
        images: folder of images.
        masks: folder of masks.
        image_suffix: what images' names end in, ``.jpg`` included; others are left out.
        mask_suffix: likewise of masks.

    Raises:
        FileNotFoundError: no such folder, or no picture in it.
        ValueError: two files of one name, or names that do not tell which belong together.
    """
    same = _is_same(images, masks)
    if same and not mask_suffix:
        raise ValueError(f"{images} holds images and masks: say what masks' names end in, as in --mask-suffix _L.png.")
    found_masks = _files(masks, "masks", mask_suffix, skip=None if same else images)
    skipped = found_masks.values() if same else ()
    found_images = _files(images, "images", image_suffix, skip=None if same else masks, besides=set(skipped))
    rule = _best_rule(found_images, found_masks, mask_suffix)
    return _paired(rule, found_images, found_masks)


def only_listed(found: Pairs, split: Path, images: Path) -> Pairs:
    """The images that a list names.

    Args:
        found: all of them.
        split: one image a line, by its path or its name, with its ending or without; what follows a blank (as the mask
            does in SegNet's lists) does not matter.
        images: their folder, for messages.

    Raises:
        FileNotFoundError: no such list.
        ValueError: a line that names no image, or no single one; an empty list.
    """
    if not split.is_file():
        raise FileNotFoundError(f"The list --split {split} does not exist.")
    known: dict[str, set[str]] = defaultdict(set)
    for image in [*(pair[0] for pair in found.pairs), *found.alone]:
        for name in _names_of(image):
            known[name].add(image)
    wanted: dict[str, int] = {}
    for number, line in enumerate(read_lines(split, "list"), 1):
        if line.strip():
            image = _named_in(line.strip(), known, f"Line {number} of {split}", images)
            if image in wanted:
                raise ValueError(f"{split} names {image} twice, in line {wanted[image]} and {number}: delete one.")
            wanted[image] = number
    if not wanted:
        raise ValueError(f"The list --split {split} names no image.")
    return Pairs(
        [pair for pair in found.pairs if pair[0] in wanted], [name for name in found.alone if name in wanted], []
    )


def _is_same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _files(
    folder: Path, kind: str, suffix: str | None, skip: Path | None, besides: set[str] | None = None
) -> dict[str, str]:
    """Pictures of a folder by their names without ending, both below it."""
    if not folder.is_dir():
        raise FileNotFoundError(f"The folder of {kind}, {folder}, does not exist.")
    found: dict[str, str] = {}
    for entry in walk(folder, skip=skip):
        name = Path(os.path.relpath(entry.path, folder)).as_posix()
        if entry.name.startswith(".") or name in (besides or ()):
            continue
        if not (name.endswith(suffix) if suffix else Path(name).suffix.lower() in PICTURES):
            continue
        stem = name.removesuffix(suffix) if suffix else str(PurePosixPath(name).with_suffix(""))
        if stem in found:
            raise ValueError(
                f"The {kind} {folder / found[stem]} and {folder / name} have one name: remove one, or say what"
                f" {kind}' names end in with --{kind.removesuffix('s')}-suffix {Path(name).suffix}."
            )
        found[stem] = name
    if not found:
        end = f" that ends in {suffix!r}" if suffix else f" ({', '.join(sorted(PICTURES)[:4])}, ...)"
        raise FileNotFoundError(f"The folder of {kind}, {folder}, holds no picture{end}.")
    return dict(sorted(found.items()))


def _best_rule(images: Mapping[str, str], masks: Mapping[str, str], mask_suffix: str | None) -> _Rule:
    """The rule by which most images have a mask.

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
    if len(kinds) > 1 and not mask_suffix:
        ends = ", ".join(repr(f"{kind}{Path(next(iter(masks.values()))).suffix}") for kind in kinds[:_NAMED])
        raise ValueError(f"Every image has several masks: choose one with --mask-suffix ({ends}).")
    return rules[0]


def _rules(images: Mapping[str, str], masks: Mapping[str, str]) -> list[_Rule]:
    """Rules that pair some image with some mask, the most frequent first."""
    votes = Counter([_Rule("", "", False)])
    step = max(1, len(images) // _LOOKED_AT)
    flipped = [_flipped(mask) for mask in masks]
    for image in list(images)[::step]:
        votes.update(_Rule(own, other, False) for own, other in _endings(image, list(masks)))
        votes.update(_Rule(own[::-1], other[::-1], True) for own, other in _endings(_flipped(image), flipped))
    return [rule for rule, _ in votes.most_common(_RULES)]


def _endings(image: str, masks: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What follows the longest beginning that an image's name shares with one of a mask, for all such masks."""
    start = len(image.rpartition("/")[0])
    near = [mask for mask in masks if mask.rpartition("/")[0] == image[:start]]
    shared = max((len(os.path.commonprefix([image, mask])) for mask in near), default=0)
    for mask in near:
        if shared > start + bool(start) and mask.startswith(image[:shared]):
            own, other = image[shared:], mask[shared:]
            if _stand_apart(image[shared - 1], own, other):
                yield own, other


def _stand_apart(before: str, own: str, other: str) -> bool:
    """Whether two endings can be what tells images from masks: no numbers, and no parts of longer words."""
    if own[:1].isdigit() or other[:1].isdigit():
        return False
    return not (own and other) or not before.isalnum() or not (own[0].isalnum() or other[0].isalnum())


def _flipped(name: str) -> str:
    """A name read backwards, below the folders as they are."""
    folder, slash, stem = name.rpartition("/")
    return f"{folder}{slash}{stem[::-1]}"


def _score(rule: _Rule, images: Mapping[str, str], masks: Mapping[str, str]) -> int:
    cores = {rule.core(mask, rule.mask) for mask in masks} - {None}
    return sum(rule.core(image, rule.image) in cores for image in images)


def _paired(rule: _Rule, images: Mapping[str, str], masks: Mapping[str, str]) -> Pairs:
    by_core = {rule.core(mask, rule.mask): mask for mask in masks}
    by_core.pop(None, None)
    found = {image: by_core.get(rule.core(image, rule.image)) for image in images}
    pairs = [(images[image], masks[mask]) for image, mask in found.items() if mask is not None]
    alone = [images[image] for image, mask in found.items() if mask is None]
    used = set(found.values())
    return Pairs(pairs, alone, [masks[mask] for mask in masks if mask not in used])


def _names_of(image: str) -> set[str]:
    """What a list may call an image."""
    path = PurePosixPath(image)
    return {image, path.name, path.with_suffix("").as_posix(), path.stem}


def _named_in(line: str, known: Mapping[str, set[str]], place: str, images: Path) -> str:
    """The image that a line names: the whole line, or what stands before a blank; with folders above, or without."""
    for text in (line, line.split()[0]):
        parts = PurePosixPath(text).parts
        for start in range(len(parts)):
            found = known.get(str(PurePosixPath(*parts[start:])).lstrip("/"), set())
            if len(found) == 1:
                return next(iter(found))
            if found:
                raise ValueError(f"{place}, {line!r}, names several images in {images}: {listed(sorted(found))}.")
    raise ValueError(f"{place}, {line!r}, names no image in {images}.")


def listed(names: Sequence[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"

