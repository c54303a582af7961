"""Entropic optimal transport from every class's mass to the uniform distribution. DSLO, Section 3.4, Eqs. 3-8.

    minimise  <C, pi> - epsilon H(pi)   subject to   pi 1 = f,  pi^T 1 = s,   s = 1 / N
    K = exp(-C / epsilon);   repeat  mu <- f / (K nu),  nu <- s / (K^T mu);   pi = diag(mu) K diag(nu)

All classes share the kernel K, so a half step of all of them is one product of an N x N with an N x C matrix. K must
not vanish: float32 serves for costs up to 80 epsilon, float64 up to 600; beyond, only logarithms do, class by class.
Sinkhorn, 1967; Cuturi, NeurIPS 2013, arXiv:1306.0895.
"""

import logging
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.checks import check_count, check_positive
from mmseg_tfovss.solvers.checks import check_mass, check_not_negative, check_square, divide, working_dtype
from mmseg_tfovss.solvers.log_domain import CHECK_EVERY, path_from_logs, scale_logs

MARGINALS = ("target", "source")
_COLUMNS = 4  # products of an N x N with an N x C matrix are a third faster on CPUs when C is a multiple of it
_SINGLE, _DOUBLE = 80.0, 600.0  # largest C / epsilon: exp(-C / epsilon) is a normal number up to 87 and 708

_logger = logging.getLogger(__name__)


def optimal_path(
    mass: Tensor,
    cost: Tensor,
    *,
    epsilon: float = 0.1,
    iterations: int = 50,
    marginal: str = "target",
    tolerance: float = 1e-5,
    log_domain: bool | None = None,
) -> Tensor:
    """Cost of the optimal path, patch by patch.

    Args:
        mass: f, (..., N, C); columns sum to 1, or to 0 for a rejected class.
        cost: C, (..., N, N), >= 0, of moving mass from the patch of the row to that of the column; inf forbids it.
        epsilon: weight of the entropy, > 0, in units of the cost.
        iterations: pairs of half steps, at most.
        marginal: ``target``: D_j = sum_i C_ij pi_ij, by the patch that receives (each receives 1 / N, so D_j tells how
            far patch j lies from the class); ``source``: D_i = sum_j C_ij pi_ij, by the patch that gives f_i.
        tolerance: iterations stop early once the rows of every class sum to its mass up to this sum of
            differences (the columns always do); float32 cannot tell much less than 3e-6.
        log_domain: iterate on logarithms, in float64 and more than a hundred times slower; ``None``: for costs above
            600 epsilon, which is said once.

    Returns:
        D, (..., N, C), >= 0, float32 (float64 for float64), whatever the iterations run in; 0 for rejected classes, and
        where no mass can arrive.

    Raises:
        ValueError: wrong shapes or ranges.
    """
    if marginal not in MARGINALS:
        raise ValueError(f"marginal must be one of {list(MARGINALS)}, but got {marginal!r}.")
    dtype = working_dtype(mass)
    mass, cost, in_logs = _prepare(mass, cost, epsilon, iterations, log_domain)
    if in_logs:
        log_mu, log_nu = scale_logs(mass, cost, epsilon, iterations, tolerance)
        return path_from_logs(log_mu, log_nu, cost, epsilon, marginal).to(dtype)
    kernel, transposed = _kernels(cost, epsilon)
    mu, nu = _scale(mass, kernel, transposed, iterations, tolerance)
    if bool(cost.isinf().any()):
        cost = cost.masked_fill(cost.isinf(), 0)  # their kernel is 0
    path = nu * (transposed.mul_(cost.mT) @ mu) if marginal == "target" else mu * (kernel.mul_(cost) @ nu)
    return path.to(dtype)


def sinkhorn_plan_potentials(
    mass: Tensor,
    cost: Tensor,
    *,
    epsilon: float = 0.1,
    iterations: int = 50,
    tolerance: float = 1e-5,
    log_domain: bool | None = None,
) -> tuple[Tensor, Tensor]:
    """The scaling vectors of the optimal plan, see :func:`optimal_path`, for costs up to 600 epsilon.

    Returns:
        mu and nu, each (..., N, C): the plan of class c is ``mu[:, c, None] * exp(-cost / epsilon) * nu[None, :, c]``.
        Its columns sum to 1 / N, its rows to the mass (as nearly as the iterations got). Scaled so that both have the
        same largest entry. float32 (float64 for float64, and for costs above 80 epsilon, where the exponential must be
        taken in float64 as well).

    Raises:
        ValueError: wrong shapes or ranges, or an epsilon for which the exponential is 0: then take
            :func:`sinkhorn_log_potentials`.
    """
    check_positive(epsilon=epsilon)
    span = _span(cost, epsilon)
    if span > _DOUBLE:
        raise ValueError(
            f"epsilon must be at least {epsilon * span / _DOUBLE:.3g}, a {_DOUBLE:g}th of the largest cost, for"
            f" scalings that are numbers, but got {epsilon!r}: take sinkhorn_log_potentials."
        )
    log_mu, log_nu = sinkhorn_log_potentials(
        mass, cost, epsilon=epsilon, iterations=iterations, tolerance=tolerance, log_domain=log_domain
    )
    shift = (log_nu.amax(dim=-2, keepdim=True) - log_mu.amax(dim=-2, keepdim=True)) / 2
    shift = shift.nan_to_num(0, 0, 0)  # rejected classes have no scale
    dtype = torch.float64 if span > _SINGLE else working_dtype(mass)
    return (log_mu + shift).exp().to(dtype), (log_nu - shift).exp().to(dtype)


def sinkhorn_log_potentials(
    mass: Tensor,
    cost: Tensor,
    *,
    epsilon: float = 0.1,
    iterations: int = 50,
    tolerance: float = 1e-5,
    log_domain: bool | None = None,
) -> tuple[Tensor, Tensor]:
    """The logarithms of the scaling vectors of the optimal plan, see :func:`optimal_path`, for any epsilon.

    Returns:
        log mu and log nu, each (..., N, C), float64: they grow as 1 / epsilon does, and float32 would lose the digits
        after the point. The plan of class c is ``exp(log_mu[:, c, None] - cost.double() / epsilon + log_nu[None, :,
        c])``; -inf where nothing is given or received.

    Raises:
        ValueError: wrong shapes or ranges.
    """
    mass, cost, in_logs = _prepare(mass, cost, epsilon, iterations, log_domain)
    if in_logs:
        return scale_logs(mass, cost, epsilon, iterations, tolerance)
    mu, nu = _scale(mass, *_kernels(cost, epsilon), iterations, tolerance)
    return mu.double().log(), nu.double().log()


def _prepare(
    mass: Tensor, cost: Tensor, epsilon: float, iterations: int, log_domain: bool | None
) -> tuple[Tensor, Tensor, bool]:
    """Checked mass and cost, in float64 where the costs need it, and whether to iterate on logarithms."""
    check_positive(epsilon=epsilon)
    check_count(iterations=iterations)
    mass = check_mass(mass)
    cost = check_square("cost", cost, mass)
    check_not_negative("cost", cost)
    batch = torch.broadcast_shapes(mass.shape[:-2], cost.shape[:-2])
    mass, cost = mass.expand(*batch, *mass.shape[-2:]), cost.expand(*batch, *cost.shape[-2:])
    span = _span(cost, epsilon)
    if log_domain is None:
        log_domain = span > _DOUBLE
        if log_domain:
            _warn_of_logarithms(epsilon)
    if log_domain or span > _SINGLE:
        mass, cost = mass.double(), cost.double()
    return mass, cost, log_domain


def _span(cost: Tensor, epsilon: float) -> float:
    """The largest finite cost, in units of epsilon."""
    if not cost.numel():
        return 0.0
    largest = cost.amax().item()
    if largest == torch.inf:
        largest = cost.masked_fill(cost.isinf(), 0).amax().item()
    return largest / epsilon


@cache  # once
def _warn_of_logarithms(epsilon: float) -> None:
    _logger.warning(
        "epsilon = %g makes Sinkhorn take logarithms, one class at a time and more than a hundred times slower: costs"
        " up to %g (%g epsilon) would be fast.",
        epsilon,
        _DOUBLE * epsilon,
        _DOUBLE,
    )


def _kernels(cost: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """K and K^T, both contiguous: products of thin matrices with a transposed view take twice as long on CPUs."""
    kernel = (cost / -epsilon).exp_()
    return kernel, kernel.mT.contiguous()


def _scale(
    mass: Tensor, kernel: Tensor, transposed: Tensor, iterations: int, tolerance: float
) -> tuple[Tensor, Tensor]:
    """The scalings mu and nu, each (..., N, C), after the last half step, that of nu."""
    classes = mass.shape[-1]
    mass = F.pad(mass, (0, -classes % _COLUMNS))
    tiny = torch.finfo(mass.dtype).tiny
    share = (mass.sum(dim=-2, keepdim=True) > 0).to(mass.dtype) / mass.shape[-2]  # a rejected class receives nothing
    given = kernel.sum(dim=-1, keepdim=True)  # K nu of nu = 1
    mu = received = mass
    for iteration in range(1, iterations + 1):
        mu = mass / given.clamp_min(tiny)
        received = transposed @ mu
        if iteration == iterations:
            break
        given = kernel @ (share / received.clamp_min(tiny))
        if iteration % CHECK_EVERY == 0 and bool(((mu * given - mass).abs().sum(dim=-2) <= tolerance).all()):
            break
    nu = divide(share, received)  # 0 where nothing can arrive
    return mu[..., :classes], nu[..., :classes]
