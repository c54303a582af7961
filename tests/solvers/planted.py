"""Masses and graphs for the solvers' tests."""

import torch
from torch import Tensor


def random_mass(count: int, classes: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Columns that sum to 1."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, classes, generator=generator, dtype=dtype).mul(2).softmax(dim=0)


def random_affinity(count: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Rows that sum to 1, not symmetric."""
    generator = torch.Generator().manual_seed(seed + 1)
    return torch.randn(count, count, generator=generator, dtype=dtype).softmax(dim=1)


def two_islands(count: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """An affinity of two halves without any connection."""
    half = count // 2
    affinity = torch.zeros(count, count, dtype=dtype)
    affinity[:half, :half] = 1 / half
    affinity[half:, half:] = 1 / (count - half)
    return affinity
