"""Read every image and mask of a dataset, several at a time, and add up what they hold."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mmseg_tfovss.own_data.masks import Mask, Reader
from mmseg_tfovss.own_data.table import ClassTable

Watch = Callable[[Iterable[None], int], Iterable[None]]


@dataclass
class Foreign:
    """A value of masks that is neither a class nor ignored.

    Attributes:
        file: the first mask with it.
        there: its pixels in that mask.
        pixels: in all masks.
        masks: number of masks with it.
    """

    file: Path
    there: int
    pixels: int = 0
    masks: int = 0


@dataclass
class Survey:
    """What the masks of a dataset hold.

    Attributes:
        images: number of pairs that were read.
        pixels: (C,) of each class.
        masks: (C,) in how many masks each class occurs.
        ignored: pixels that do not count.
        foreign: by value.
        problems: a sentence for every pair that cannot be used.
    """

    images: int
    pixels: np.ndarray
    masks: np.ndarray
    ignored: int = 0
    foreign: dict[int, Foreign] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, mask: Mask, file: Path) -> None:
        """Count a mask."""
        self.pixels += mask.pixels
        self.masks += mask.pixels > 0
        self.ignored += mask.ignored
        for value, pixels in mask.foreign.items():
            found = self.foreign.setdefault(value, Foreign(file, pixels))
            found.pixels += pixels
            found.masks += 1


def survey(
    pairs: Sequence[tuple[Path, Path]],
    table: ClassTable,
    workers: int,
    watch: Watch,
    save: Callable[[int, np.ndarray], None] | None = None,
) -> Survey:
    """Read every pair completely; a file that cannot be used does not keep the others from being read.

    Args:
        pairs: image and mask.
        table: what the masks' values mean.
        workers: number of threads.
        watch: given one item per pair as it is read, and their number, hands the items on; it may show progress.
        save: given the number of a pair and its labels (H, W), stores the mask anew; None: masks stay what they are.

    Returns:
        The counts, the same with any number of workers.
    """
    reader, count = Reader(table, anew=save is not None), len(table.names)
    total = Survey(len(pairs), np.zeros(count, np.int64), np.zeros(count, np.int64))

    def read(number: int) -> Mask | str:
        try:
            found = reader.read(*pairs[number])
        except (ValueError, FileNotFoundError) as error:
            return str(error)
        if save is not None and not found.foreign:
            save(number, found.labels)
        return found._replace(labels=np.zeros((0, 0), np.int32))

    def results() -> Iterator[None]:
        for number, found in enumerate(_parallel(read, len(pairs), workers)):
            if isinstance(found, str):
                total.problems.append(found)
            else:
                total.add(found, pairs[number][1])
            yield

    for _ in watch(results(), len(pairs)):
        pass
    return total


def _parallel(work: Callable[[int], Mask | str], count: int, workers: int) -> Iterator[Mask | str]:
    """Work on numbers in their order; what has not begun is dropped when somebody stops."""
    pool = ThreadPoolExecutor(workers)
    try:
        yield from pool.map(work, range(count))
    finally:
        pool.shutdown(cancel_futures=True)
