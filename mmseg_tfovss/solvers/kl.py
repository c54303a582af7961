"""Kullback-Leibler divergence between a mass and the uniform distribution, patch by patch. DSLO, Section 3.3."""

import math

import torch
from torch import Tensor

from mmseg_tfovss.solvers.checks import check_mass

KL_DIRECTIONS = ("mass_to_uniform", "uniform_to_mass")


def kl_discrepancy(mass: Tensor, *, direction: str = "mass_to_uniform") -> Tensor:
    """Terms of the divergence whose sum over the patches is KL(f || u) or KL(u || f), with u = 1 / N.

    Args:
        mass: f, (..., N, C); columns sum to 1, or to 0 for a rejected class.
        direction: ``mass_to_uniform``: f log(N f), 0 where f = 0; ``uniform_to_mass``: -log(N f) / N, for which f
            counts as at least the smallest normal number, so that it stays finite.

    Returns:
        (..., N, C) float32 (float64 for float64); 0 for rejected classes.

    Raises:
        ValueError: a mass that is none, or an unknown direction.
    """
    mass = check_mass(mass)
    if direction not in KL_DIRECTIONS:
        raise ValueError(f"direction must be one of {list(KL_DIRECTIONS)}, but got {direction!r}.")
    count = mass.shape[-2]
    if direction == "mass_to_uniform":
        return torch.xlogy(mass, count * mass)
    terms = -(math.log(count) + mass.clamp_min(torch.finfo(mass.dtype).tiny).log()) / count
    return terms * (mass.sum(dim=-2, keepdim=True) > 0)
