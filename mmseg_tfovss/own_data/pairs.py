"""Which mask belongs to which image: by their names, whatever the two folders call them."""

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mmseg_tfovss.engine.samples import walk
from mmseg_tfovss.own_data.naming import Rule, find_rule

PICTURES = frozenset((".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".ppm", ".jp2"))


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
    rule = find_rule(found_images, found_masks)
    return _paired(rule, found_images, found_masks)


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


def _paired(rule: Rule, images: Mapping[str, str], masks: Mapping[str, str]) -> Pairs:
    by_core = {rule.core(mask, rule.mask): mask for mask in masks}
    by_core.pop(None, None)
    found = {image: by_core.get(rule.core(image, rule.image)) for image in images}
    pairs = [(images[image], masks[mask]) for image, mask in found.items() if mask is not None]
    alone = [images[image] for image, mask in found.items() if mask is None]
    used = set(found.values())
    return Pairs(pairs, alone, [masks[mask] for mask in masks if mask not in used])
