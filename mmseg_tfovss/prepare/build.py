"""Make a benchmark's validation set, or go on where an earlier run was cut off."""

from dataclasses import dataclass
from pathlib import Path

from mmseg_tfovss.datasets.facts import FACTS
from mmseg_tfovss.prepare.download import download, find_archive
from mmseg_tfovss.prepare.jobs import remove_leftovers, run_jobs
from mmseg_tfovss.prepare.recipes import RECIPES


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
    any interruption. A benchmark that is complete needs no archive.

    Args:
        key: one of :data:`mmseg_tfovss.datasets.facts.PREPARED`.
        root: folder of all datasets.
        archives: folder of the official archives.
        fetch: download archives that are missing there.
        workers: number of processes.

    Returns:
        What is there now.

    Raises:
        FileNotFoundError: a missing archive; the message says where to get it.
        ValueError: a damaged or incomplete archive, or a file in it that cannot be converted.
        OSError: no connection, no space, no permission.
    """
    recipe, expected = RECIPES[key], FACTS[key].images
    layout = recipe.layout
    folder = root / layout.folder
    written = 0
    if not layout.complete(root, expected):
        find = download if fetch else find_archive
        paths = {archive: find(archive, archives) for archive in recipe.archives}  # before the first long work
        for step in recipe.steps(layout, root, paths.__getitem__):
            remove_leftovers({target.parent for target in step.targets})
            missing = {target for target in step.targets if not target.is_file()}
            if missing:
                written += run_jobs(
                    step.jobs(missing), total=len(missing), workers=workers, title=f"{key}: {step.title}"
                )
    return Prepared(folder, len(layout.stems(root)), expected, written)
