"""Counting ids."""

import torch
from torch import Tensor


def count_ids(ids: Tensor, count: int) -> Tensor:
    """How often each of the ids 0 .. count - 1 occurs: (count,) int64.

    ``torch.bincount`` looks for the largest id first, for which a GPU and its host must wait for each other.

    Args:
        ids: int64, of any shape; none may lie outside.
        count: how many ids there are.
    """
    flat = ids.flatten()
    one = torch.ones((), dtype=torch.int64, device=ids.device)
    return torch.zeros(count, dtype=torch.int64, device=ids.device).scatter_add_(0, flat, one.expand_as(flat))
