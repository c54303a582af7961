"""How often a GPU's queue is waited for: each such wait leaves the GPU without work."""

import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch

_SAID = "synchronizing CUDA operation"  # what PyTorch warns of
_PACKAGE = Path(__file__).parents[2]


def wait_for(device: torch.device) -> None:
    """Wait until a device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def count_waits(work: Callable[[], object], device: torch.device) -> dict[str, int] | None:
    """Host synchronisations during some work, as far as PyTorch's own sync debug mode notices them.

    Args:
        work: what is watched; it has run before, so that nothing is built meanwhile.
        device: where it runs.

    Returns:
        How many at each place, ``file:line`` below the package where it is ours; ``None``: not counted on this device.
    """
    if device.type != "cuda":
        return None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("warn")
        try:
            work()
        finally:
            torch.cuda.set_sync_debug_mode(before)
    return dict(Counter(_place(one) for one in caught if _SAID in str(one.message)).most_common())


def _place(caught: warnings.WarningMessage) -> str:
    path = Path(caught.filename)
    shown = path.relative_to(_PACKAGE) if path.is_relative_to(_PACKAGE) else path.name
    return f"{shown}:{caught.lineno}"
