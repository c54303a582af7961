"""Lists of the images that count, as datasets have them for their splits."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from mmseg_tfovss.own_data.naming import listed
from mmseg_tfovss.own_data.pairs import Pairs
from mmseg_tfovss.vocabulary.words import read_lines


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
