"""Verify a prepared benchmark: counts, pairs, sizes, and the labels of every pixel."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmseg_tfovss.datasets.facts import FACTS, Facts
from mmseg_tfovss.datasets.files import check_pair, load_image, load_labels
from mmseg_tfovss.prepare.layout import LAYOUTS, Layout


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        folder: of the dataset.
        images: number of images that are there or listed.
        labels: the different labels that occur.
        missing: sentences about files that preparing makes.
        wrong: sentences about files that must be deleted before preparing makes them anew.
    """

    folder: Path
    images: int
    labels: tuple[int, ...]
    missing: tuple[str, ...]
    wrong: tuple[str, ...]


def check(key: str, root: Path, workers: int, watch: Callable[[Iterable[None], int], Iterable[None]]) -> Report:
    """Read every image and annotation of a benchmark.

    Args:
        key: one of :data:`mmseg_tfovss.datasets.facts.PREPARED`.
        root: folder of all datasets.
        workers: number of threads.
        watch: given one item per image as it is checked, and their number, hands the items on; it may show progress.

    Returns:
        What is missing or wrong.
    """
    layout, facts = LAYOUTS[key], FACTS[key]
    folder = root / layout.folder
    try:
        stems = layout.stems(root)
    except FileNotFoundError as error:
        return Report(folder, 0, (), (str(error),), ())
    except ValueError as error:
        return Report(folder, 0, (), (), (str(error),))
    missing, wrong = _compare_names(layout, facts, root, stems)
    pairs = [(layout.image(root, stem), layout.label(root, stem)) for stem in stems]
    missing += [f"{path} does not exist." for pair in pairs for path in pair if not path.is_file()]
    pairs = [pair for pair in pairs if pair[0].is_file() and pair[1].is_file()]
    seen: set[int] = set()

    def results() -> Iterable[None]:
        with ThreadPoolExecutor(workers) as pool:
            for labels, problem in pool.map(lambda pair: _check_pair(pair[0], pair[1], facts), pairs):
                seen.update(labels)
                wrong.extend([problem] if problem else [])
                yield

    for _ in watch(results(), len(pairs)):
        pass
    return Report(folder, len(stems), tuple(sorted(seen)), tuple(missing), tuple(wrong))


def _compare_names(layout: Layout, facts: Facts, root: Path, stems: list[str]) -> tuple[list[str], list[str]]:
    """What counts and names say: sentences about what is missing, and about what is wrong."""
    counted = f"{root / layout.folder / (layout.listing or layout.images)} has {len(stems)} of {facts.images} images."
    counts = [] if len(stems) == facts.images else [counted]
    if layout.listing:
        return [], counts  # preparing keeps a list that is there
    surplus = sorted(set(layout.label_stems(root)) - set(stems))
    names = [f"{layout.label(root, stem)} has no image {layout.image(root, stem)}." for stem in surplus]
    # Preparing makes images that are missing, but deletes nothing.
    return ([*counts, *names], []) if len(stems) < facts.images else ([], [*counts, *names])


def _check_pair(image: Path, annotation: Path, facts: Facts) -> tuple[list[int], str]:
    """The labels that occur, and what is wrong."""
    try:
        labels, turned = load_labels(annotation)
        pixels, orientation = load_image(image)
    except ValueError as error:
        return [], str(error)
    found = np.unique(labels).tolist()
    allowed = {*range(facts.labels), facts.ignored}
    foreign = [label for label in found if label not in allowed]
    if foreign:
        ignored = "" if facts.ignored is None else f" and {facts.ignored}"
        return (
            found,
            f"The annotation {annotation} holds the label {foreign[0]}, outside 0 .. {facts.labels - 1}{ignored}.",
        )
    try:
        check_pair(image, pixels.shape, orientation, annotation, (labels, turned))
    except ValueError as error:
        return found, str(error)
    return found, ""
