"""Numbers of Python's as tensors, copied to a device once."""

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=256)
def constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """A tensor (n,) of numbers that do not depend on an image, for reading only.

    Made anew for every batch, each would be a copy for which a GPU and its host wait for each other.
    """
    return torch.tensor(values, dtype=dtype, device=device)
