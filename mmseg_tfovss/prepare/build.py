"""Make a benchmark's validation set, or go on where an earlier run was cut off."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmseg_tfovss.datasets.facts import FACTS
from mmseg_tfovss.prepare.download import Archive
from mmseg_tfovss.prepare.jobs import UnreadableError, remove_leftovers, run_jobs
from mmseg_tfovss.prepare.recipes import RECIPES, Recipe, Step
from mmseg_tfovss.prepare.sources import find_prepared, find_source

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """What a run found and did.

    Attributes:
        folder: of the dataset.
        images: number of images with annotation that are there now.
        expected: number that the benchmark has.
        written: number of files made by this run.
    """

    folder: Path
    images: int
    expected: int
    written: int


def prepare(key: str, root: Path, archives: Path, *, fetch: bool = False, workers: int = 1) -> Prepared:
    """Make the files that are missing of a benchmark's validation set.

    Every file appears complete or not at all, and files that exist are not made again: the call may be repeated after
    any interruption. A benchmark that is complete needs no archive. Unpacked official data serve as well as archives:
    they are read where they are, and what needs no conversion is linked to.

    Args:
        key: one of :data:`mmseg_tfovss.datasets.facts.PREPARED`.
        root: folder of all datasets.
        archives: folder of the official archives, or of what they unpack to. If it holds this benchmark already in the
            layout that would be made, nothing is done.
        fetch: download archives that are missing there.
        workers: number of processes.

    Returns:
        What is there now; its folder is another one than below ``root`` if the benchmark is prepared elsewhere.

    Raises:
        FileNotFoundError: a missing archive; the message says where to get it.
        ValueError: a damaged or incomplete archive, or a file in it that cannot be converted.
        OSError: no connection, no space, no permission.
    """
    recipe, expected = RECIPES[key], FACTS[key].images
    layout = recipe.layout
    folder = root / layout.folder
    if layout.complete(root, expected):
        return Prepared(folder, expected, expected, 0)
    # Where official data need no conversion, others that have them are linked to.
    elsewhere = None if recipe.official else find_prepared(layout, archives, expected)
    if elsewhere is None:
        try:
            paths = _find_sources(recipe, root, archives, fetch=fetch)
        except FileNotFoundError:
            elsewhere = find_prepared(layout, archives, None)
            if elsewhere is None or elsewhere == root.absolute():  # there, it is incomplete
                raise
    if elsewhere is not None:
        return Prepared(elsewhere / layout.folder, len(layout.stems(elsewhere)), expected, 0)
    written = _make(key, recipe.steps(layout, root, paths.__getitem__), workers)
    return Prepared(folder, len(layout.stems(root)), expected, written)


def _find_sources(recipe: Recipe, root: Path, archives: Path, *, fetch: bool) -> dict[Archive, Path]:
    """All of them, before the first long work."""
    made = root / recipe.layout.folder
    found = {archive: find_source(archive, archives, made, fetch=fetch) for archive in recipe.archives}
    for archive, path in found.items():
        if path != archives / archive.name:
            _logger.warning("note: %s is read in place of %s; none of its files is changed.", path, archive.name)
    return found


def _make(key: str, steps: Iterator[Step], workers: int) -> int:
    """Write what is missing, as far as that can be: how many files."""
    written = 0
    failures: list[str] = []
    for step in steps:
        remove_leftovers({target.parent for target in step.targets})
        missing = {target for target in step.targets if not target.is_file()}
        if not missing:
            continue
        try:
            written += run_jobs(step.jobs(missing), total=len(missing), workers=workers, title=f"{key}: {step.title}")
        except UnreadableError as error:
            if error.many:
                raise
            failures += error.failures
    if failures:
        raise UnreadableError(failures)
    return written
