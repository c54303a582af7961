"""Conjugate gradients for many right-hand sides at once. Hestenes and Stiefel, 1952.

    minimise  z^T A z / 2 - y^T z,   A symmetric and positive definite:   A z = y

from z = 0, r = p = y:   a = r^T r / p^T A p;   z <- z + a p;   r <- r - a A p;   p <- r + (r'^T r' / r^T r) p

All right-hand sides share the products with A, and nothing else: each has its own a, and rests once it is solved. So
where the steps are few, each gets what it would get alone.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from mmseg_tfovss.checks import check_count


def conjugate_gradients(
    product: Callable[[Tensor], Tensor], right: Tensor, *, steps: int, tolerance: float = 0.0
) -> Tensor:
    """Solve A z = y for the columns of a matrix, or come as near as the steps allow.

    Args:
        product: A times a matrix of columns (N, C).
        right: y, (N, C); a column of zeros has the solution 0.
        steps: most of them.
        tolerance: a column is solved when ||y - A z|| <= tolerance ||y||.

    Returns:
        z, (N, C), in the dtype of ``right``.

    Raises:
        ValueError: ``steps`` is not a whole number from 1 on, or ``right`` no matrix.
    """
    check_count(steps=steps)
    if right.ndim != 2:
        raise ValueError(f"right must have the shape (N, C), but got {tuple(right.shape)}.")
    solution, residual = torch.zeros_like(right), right.clone()
    direction = residual.clone()
    squared = _inner(residual, residual)  # (C,)
    enough = squared * tolerance**2
    for _ in range(steps):
        unsolved = squared > enough
        if not bool(unsolved.any()):
            break
        image = product(direction)
        length = torch.where(unsolved, squared / _inner(direction, image), 0)
        solution.addcmul_(direction, length)
        residual.addcmul_(image, length, value=-1)
        before, squared = squared, torch.where(unsolved, _inner(residual, residual), squared)
        direction.mul_(torch.where(unsolved, squared / before, 0)).add_(residual)
    return solution


def _inner(left: Tensor, right: Tensor) -> Tensor:
    """Inner products (C,) of the columns of (N, C)."""
    return torch.linalg.vecdot(left, right, dim=0)
