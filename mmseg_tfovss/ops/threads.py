"""Work of the CPU beside that of the network."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from mmseg_tfovss.cores import cores

Item = TypeVar("Item")
Result = TypeVar("Result")


def work_in_threads(work: Callable[[Item], Result], batches: Iterable[Iterable[Item]]) -> list[Result]:
    """Work on the items of each batch in threads, while the next batch is being made.

    Args:
        work: called once per item, in inference mode.
        batches: items; only making them may take long, going through them may not.

    Returns:
        One result per item, in order.
    """

    def infer(item: Item) -> Result:
        with torch.inference_mode():  # is not handed on to threads
            return work(item)

    with ThreadPoolExecutor(cores()) as pool:
        futures = [pool.submit(infer, item) for batch in batches for item in batch]
    return [future.result() for future in futures]
