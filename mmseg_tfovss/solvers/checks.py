"""What all solvers ask of their input."""

from functools import partial

import torch
from torch import Tensor

from mmseg_tfovss.deferred import refuse_if

_SUM_TOLERANCE = 1e-2  # masses may come from half precision


def working_dtype(*tensors: Tensor) -> torch.dtype:
    """float64 if any input is, else float32, whatever the precision of the networks."""
    return torch.float64 if any(tensor.dtype == torch.float64 for tensor in tensors) else torch.float32


def check_mass(mass: Tensor) -> Tensor:
    """The mass (..., N, C) in its working dtype; no images at all (a leading axis of 0) are fine.

    Raises:
        ValueError: fewer than two axes, no patch or no class, a negative or undefined entry, or a column that sums to
            neither 1 nor 0.
    """
    if mass.ndim < 2 or 0 in mass.shape[-2:]:
        raise ValueError(f"mass must have the shape (..., N, C) with N, C >= 1, but got {tuple(mass.shape)}.")
    mass = mass.to(working_dtype(mass))
    sums = mass.sum(dim=-2)
    valid = ((sums - 1).abs() <= _SUM_TOLERANCE) | (sums == 0)
    refuse_if(~((mass >= 0).all() & valid.all()), partial(_no_mass, mass, sums))
    return mass


def _no_mass(mass: Tensor, sums: Tensor) -> ValueError:
    return ValueError(
        "mass must be >= 0 and every column must sum to 1, or to 0 for a rejected class, but got entries from"
        f" {mass.min().item():.3g} to {mass.max().item():.3g} and column sums from {sums.min().item():.3g} to"
        f" {sums.max().item():.3g}."
    )


def check_square(name: str, matrix: Tensor, mass: Tensor | None = None) -> Tensor:
    """The matrix (..., N, N) in its working dtype, or in that of the mass.

    Raises:
        ValueError: it is not square, or its N is 0 or not that of the mass (..., N, C).
    """
    count = mass.shape[-2] if mass is not None else matrix.shape[-1] if matrix.ndim else 0
    if matrix.ndim < 2 or not count or matrix.shape[-2:] != (count, count):
        wanted = f"(..., {count}, {count})" if mass is not None else "(..., N, N) with N >= 1"
        raise ValueError(f"{name} must have the shape {wanted}, but got {tuple(matrix.shape)}.")
    return matrix.to(working_dtype(matrix) if mass is None else mass.dtype)


def check_not_negative(name: str, matrix: Tensor) -> None:
    """Raise ValueError if a matrix has a negative or undefined entry."""
    if not matrix.numel():
        return
    smallest = matrix.amin()
    refuse_if(~(smallest >= 0), lambda: ValueError(_negative(name, smallest.item())))


def _negative(name: str, smallest: float) -> str:
    return f"{name} must be >= 0 and defined everywhere, but its smallest entry is {smallest:.3g}."


def divide(numerator: Tensor, denominator: Tensor) -> Tensor:
    """The quotient, 0 where the denominator is 0."""
    return torch.where(denominator > 0, numerator / denominator, numerator.new_zeros(()))
