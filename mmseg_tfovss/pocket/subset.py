"""Part of the pocket benchmark's scenes that stands for all of them: stratified by classes, objects and areas."""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmseg_tfovss.pocket import scenes
from mmseg_tfovss.pocket.classes import CLASSES, THINGS

Ints = NDArray[np.int64]

_MOST_THINGS, _MOST_GROUNDS = 5, 2  # in a scene
_UNIT = 10  # of every feature: what a scene has once, or on average


def scenes_of_subset(root: Path, count: int) -> tuple[int, ...]:
    """Numbers of the scenes of a subset, ascending; a smaller subset is part of a larger one.

    Args:
        root: folder of the benchmark, whose scenes are there: see :func:`mmseg_tfovss.pocket.scenes.ensure_scenes`.
        count: how many scenes.

    Raises:
        ValueError: there is no subset of so many scenes.
    """
    most = scenes.NUM_VALIDATION - 1
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= most:
        raise ValueError(
            f"test_dataloader.dataset.subset must be a number of scenes, 1 to {most}, but got {count!r}: leave it out"
            f" for all {scenes.NUM_VALIDATION}."
        )
    return tuple(sorted(_order(root)[:count]))


def representative_order(features: Ints) -> list[int]:
    """Order samples so that the first k have nearly the same mean features as all of them, for every k.

    This is herding (Welling, ICML 2009) in integers, which no machine rounds differently: the next sample is the one
    that brings the sum over those chosen nearest to k / N of the sum over all. Of equal ones the first is taken.

    Args:
        features: one row per sample, (N, F).

    Returns:
        Each number 0 .. N - 1 once.
    """
    count, total = len(features), features.sum(axis=0)
    chosen: list[int] = []
    left, summed = list(range(count)), np.zeros_like(total)
    while left:
        gaps = count * (summed + features[left]) - (len(chosen) + 1) * total
        chosen.append(left.pop(int((gaps**2).sum(axis=1).argmin())))
        summed = summed + features[chosen[-1]]
    return chosen


def scene_features(areas: Ints) -> Ints:
    """What a subset must represent: which classes a scene shows, how many of them, and how large.

    Args:
        areas: pixels of every class in every scene (N, classes): things first.

    Returns:
        (N, F): classes (there or not), number of things, number of grounds, and areas relative to the class's mean
        where it is there.
    """
    there = (areas > 0).astype(np.int64)
    things, grounds = there[:, : len(THINGS)].sum(axis=1), there[:, len(THINGS) :].sum(axis=1)
    counts = [things == number for number in range(_MOST_THINGS + 1)]
    counts += [grounds == number for number in range(1, _MOST_GROUNDS + 1)]
    relative = _UNIT * areas * there.sum(axis=0) // np.maximum(areas.sum(axis=0), 1)
    return np.concatenate([_UNIT * there, _UNIT * np.stack(counts, axis=1), relative], axis=1)


@cache
def _order(root: Path) -> list[int]:
    """Once per process: the scenes are always the same."""
    return representative_order(scene_features(_areas(root)))


def _areas(root: Path) -> Ints:
    """Pixels of every class in every scene (N, classes), from the annotations."""
    folder = root / "annotations_all" / "val"
    rows = []
    for index in range(scenes.NUM_VALIDATION):
        with Image.open(folder / f"{index:04d}.png") as labels:
            rows.append(np.bincount(np.asarray(labels).ravel(), minlength=len(CLASSES)))
    return np.stack(rows).astype(np.int64)
