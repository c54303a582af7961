"""What does not depend on an image: numbers of Python's, copied to a device once, and where to make matrices."""

from functools import cache, lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=256)
def constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """A tensor (n,) of numbers that do not depend on an image, for reading only.

    Made anew for every batch, each would be a copy for which a GPU and its host wait for each other.
    """
    return torch.tensor(values, dtype=dtype, device=device)


@cache
def home_of_doubles(device: torch.device | None) -> torch.device:
    """Where float64 values for a device (``None``: the CPU) are made: there, or on the CPU if it has no float64.

    Apple's GPUs have none.
    """
    home = torch.device("cpu") if device is None else device
    try:
        torch.empty(0, dtype=torch.float64, device=home)
    except TypeError:
        return torch.device("cpu")
    return home
