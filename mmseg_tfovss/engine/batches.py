"""Which images a process gets."""

from collections.abc import Collection, Iterator, Sequence

from mmengine.dist import get_dist_info
from torch.utils.data import Sampler


class FixedBatches(Sampler[list[int]]):
    """Batch k holds the images k * batch_size ... of the dataset, whatever was done before and by how many processes.

    So every image is counted once, and is rounded with the same neighbours always: the counts are the same to the bit.

    Args:
        sampler: only its ``dataset`` is used.
        batch_size: images in a batch; the last one may have fewer.

    Raises:
        ValueError: a batch size below 1.
    """

    def __init__(self, sampler: Sampler[int], batch_size: int) -> None:
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"test_dataloader.batch_size must be at least 1, but got {batch_size!r}.")
        self.images = len(sampler.dataset)  # type: ignore[attr-defined]
        self.batch_size = batch_size
        self.undone: Sequence[int] = range(-(-self.images // batch_size))
        self.numbers: Sequence[int] = ()
        self.leave_out(())

    def leave_out(self, done: Collection[int]) -> None:
        """Share out all batches but these."""
        finished = set(done)
        rank, world = get_dist_info()
        self.undone = [number for number in range(-(-self.images // self.batch_size)) if number not in finished]
        self.numbers = self.undone[rank::world]

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[list[int]]:
        for number in self.numbers:
            start = number * self.batch_size
            yield list(range(start, min(start + self.batch_size, self.images)))
