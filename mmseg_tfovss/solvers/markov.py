"""How fast a Markov chain carries every class's mass to the uniform distribution. DSLO, Section 3.5, Eqs. 10-12.

    T = A made doubly stochastic;   f^(l) = f^(l-1) T;   l_i = first step at which patch i converges;   v_i = 1 / l_i

Steps are interpolated, so that they are continuous in the mass. The paper builds on
M2N2 (Karmann and Urfalioglu, CVPR 2025, arXiv:2411.10411).
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from mmseg_tfovss.checks import check_count, check_positive
from mmseg_tfovss.deferred import is_known
from mmseg_tfovss.solvers.checks import check_mass, check_not_negative, check_square, divide

FIRST_STEPS = ("capped", "interpolated")


def iterative_proportional_fitting(affinity: Tensor, *, iterations: int = 15) -> Tensor:
    """Make a matrix doubly stochastic: its rows, then its columns are divided by their sums, again and again (Eq. 11).

    Args:
        affinity: A, (..., N, N), >= 0; a row or column of zeros gets a one on the diagonal: its patch keeps its mass.
        iterations: rounds.

    Returns:
        T, (..., N, N), float32 (float64 for float64); its columns sum to 1, its rows nearly.

    Raises:
        ValueError: not square, a negative or undefined entry, or no iterations.
    """
    affinity = check_square("affinity", affinity)
    check_count(iterations=iterations)
    check_not_negative("affinity", affinity)
    alone = (affinity.sum(dim=-1) == 0) | (affinity.sum(dim=-2) == 0)
    if not is_known(~alone.any()):
        affinity = affinity + torch.diag_embed(alone.to(affinity.dtype))
    # T = diag(r) A diag(c): only the two vectors change, so a round costs two products with A and no copy of it.
    columns = torch.ones_like(affinity[..., :1])
    rows = columns
    for _ in range(iterations):
        rows = divide(torch.ones_like(columns), affinity @ columns)
        columns = divide(torch.ones_like(columns), affinity.mT @ rows)
    return (affinity * rows).mul_(columns.mT)


def max_velocity(
    mass: Tensor,
    transition: Tensor,
    *,
    tau: float = 0.3,
    criterion: str = "relative_mass",
    max_steps: int = 50,
    first_step: str = "capped",
) -> Tensor:
    """Velocity of every patch: 1 / the step at which it converges (Eq. 12).

    Args:
        mass: f, (..., N, C); columns sum to 1, or to 0 for a rejected class.
        transition: T, (..., N, N), of :func:`iterative_proportional_fitting`.
        tau: threshold of the criterion, > 0.
        criterion: see :func:`convergence_steps`.
        max_steps: patches that have not converged by then count as if they did at this step.
        first_step: see :func:`convergence_steps`.

    Returns:
        v, (..., N, C), float32 (float64 for float64), from 1 / max_steps to 1, or to more with an ``interpolated``
        first step; 0 for rejected classes.

    Raises:
        ValueError: wrong shapes or ranges, or an unknown criterion.
    """
    steps, _ = convergence_steps(
        mass, transition, tau=tau, criterion=criterion, max_steps=max_steps, first_step=first_step
    )
    return steps.reciprocal_() * (mass.sum(dim=-2, keepdim=True) > 0)


def convergence_steps(
    mass: Tensor,
    transition: Tensor,
    *,
    tau: float = 0.3,
    criterion: str = "relative_mass",
    max_steps: int = 50,
    first_step: str = "capped",
) -> tuple[Tensor, Tensor]:
    """Step at which every patch converges, interpolated between two steps so that it is continuous in the mass.

    Args:
        mass: f, (..., N, C).
        transition: T, (..., N, N).
        tau: threshold, > 0.
        criterion: a patch i has converged once

            * ``relative_mass``: f_i / max_j f_j >= tau (M2N2's rule). f^(l-1) is tested at step l, so that the mass
              itself arrives in step 1;
            * ``relative_change``: ``|f_i^(l) - f_i^(l-1)| / f_i^(l-1) <= tau``, never while f_i^(l-1) = 0;
            * ``absolute``: ``|f_i^(l) - f_i^(l-1)| <= tau`` (Eq. 12 to the letter: with masses that sum to 1, at step
              1).
        max_steps: cap.
        first_step: what counts for patches that have converged by step 1: ``capped``: 1, as l >= 1 in Eq. 12;
            ``interpolated``: they are told apart as if the mass came to be between step 0 (no mass, all of it change)
            and step 1. With ``relative_mass`` the heaviest patch then converges at step tau, and velocities go up to
            1 / tau. Eq. 12 has no such steps.

    Returns:
        steps (..., N, C), in [1, max_steps], or (0, max_steps] with an ``interpolated`` first step, and which patches
        hit the cap, bool of the same shape.

    Raises:
        ValueError: wrong shapes or ranges, or an unknown criterion.
    """
    check_positive(tau=tau)
    check_count(max_steps=max_steps)
    if criterion not in CRITERIA:
        raise ValueError(f"criterion must be one of {list(CRITERIA)}, but got {criterion!r}.")
    if first_step not in FIRST_STEPS:
        raise ValueError(f"first_step must be one of {list(FIRST_STEPS)}, but got {first_step!r}.")
    mass = check_mass(mass)
    transition = check_square("transition", transition, mass)
    batch = torch.broadcast_shapes(mass.shape[:-2], transition.shape[:-2])
    mass = mass.expand(*batch, *mass.shape[-2:])
    margins = CRITERIA[criterion](mass, transition, tau)
    before = next(margins)
    steps = torch.full_like(before, float(max_steps))
    late = torch.ones_like(steps, dtype=torch.bool)
    for step in range(1, max_steps + 1):
        after = next(margins)
        reached = late & (after >= 0)
        part = (before / (before - after)).nan_to_num(1.0)  # nan: from -inf, the whole step
        steps = torch.where(reached, step - 1 + part, steps)
        late &= ~reached
        if is_known(~late.any()):
            break
        before = after
    return (steps.clamp_min_(1) if first_step == "capped" else steps), late


def _relative_mass(mass: Tensor, transition: Tensor, tau: float) -> Iterator[Tensor]:
    """Margins (..., N, C) at steps 0, 1, ...: >= 0 where a patch has converged."""
    yield torch.full_like(mass, -tau)
    while True:
        yield divide(mass, mass.amax(dim=-2, keepdim=True)) - tau
        mass = transition.mT @ mass


def _relative_change(mass: Tensor, transition: Tensor, tau: float) -> Iterator[Tensor]:
    yield torch.full_like(mass, tau - 1 if tau < 1 else -torch.inf)
    while True:
        moved = transition.mT @ mass
        yield torch.where(mass > 0, tau - (moved - mass).abs() / mass, -torch.inf)
        mass = moved


def _absolute(mass: Tensor, transition: Tensor, tau: float) -> Iterator[Tensor]:
    yield torch.full_like(mass, -torch.inf)
    while True:
        moved = transition.mT @ mass
        yield tau - (moved - mass).abs()
        mass = moved


CRITERIA: dict[str, Callable[[Tensor, Tensor, float], Iterator[Tensor]]] = {
    "relative_mass": _relative_mass,
    "relative_change": _relative_change,
    "absolute": _absolute,
}
