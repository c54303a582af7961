"""The batch with which most images are labelled per second."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from mmseg_tfovss.profiling.gpu_report.deadline import Deadline

BATCHES = (1, 2, 4, 8, 16, 32)
WINDOW_BATCHES = (32, 64, 128, 256)
RateOf = Callable[[int, int | None], tuple[float, int]]
"""Batch, and windows at a time (``None``: the method's own number) -> images per second, and that number."""
Rates = dict[tuple[int, int], float]
"""Batch and windows at a time -> images per second."""

_HELPS = 1.02  # times as many images per second: less is noise
_PATIENCE = 2  # larger batches in a row that do not help, before the search ends


def search_batches(rate_of: RateOf, deadline: Deadline, largest: int = BATCHES[-1]) -> tuple[Rates, str]:
    """Larger batches until that no longer helps, and then more windows at a time, likewise.

    Args:
        rate_of: measures a batch.
        deadline: after which nothing further is tried.
        largest: batch; 1: nothing is searched.

    Returns:
        What was measured, in that order; and a sentence, with a space before it, if the search did not end by itself.
    """
    rates: Rates = {}
    pairs = [(batch, None) for batch in BATCHES if batch <= largest]
    ended = _climb(rates, rate_of, pairs, deadline)
    if largest == 1 or ended:
        return rates, ended
    (batch, own), _ = max(rates.items(), key=lambda item: item[1])
    larger = [(batch, windows) for windows in WINDOW_BATCHES if windows > own]
    return rates, _climb(rates, rate_of, larger, deadline)


def _climb(rates: Rates, rate_of: RateOf, pairs: Sequence[tuple[int, int | None]], deadline: Deadline) -> str:
    """Add the rates of pairs until they no longer help, or time or memory ends."""
    in_vain = 0
    for batch, windows in pairs:
        if rates and (in_vain == _PATIENCE or deadline.over()):
            return "" if in_vain == _PATIENCE else " Time ended the search."
        best = max(rates.values(), default=0.0)
        found = unless_memory_ends(partial(rate_of, batch, windows))
        if found is None:
            if not rates:
                raise ValueError("A single image does not fit into the memory of the device.")
            return f" Memory ended the search at batch {batch}" + (f" with {windows} windows." if windows else ".")
        rate, used = found
        rates[batch, used] = rate
        in_vain = 0 if rate > _HELPS * best else in_vain + 1
    return ""


def unless_memory_ends(work: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the work returns
    """What it returns, or None; the memory that it had is free again."""
    try:
        return work()
    except torch.cuda.OutOfMemoryError:
        pass
    torch.cuda.empty_cache()  # here, where no traceback holds tensors any longer
    return None
