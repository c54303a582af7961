"""Entropic optimal transport from every class's mass to the uniform distribution. DSLO, Section 3.4, Eqs. 3-8.

    minimise  <C, pi> - epsilon H(pi)   subject to   pi 1 = f,  pi^T 1 = s,   s = 1 / N
    K = exp(-C / epsilon);   repeat  mu <- f / (K nu),  nu <- s / (K^T mu);   pi = diag(mu) K diag(nu)

All classes share the kernel K, so a half step of all of them is one product of an N x N with an N x C matrix.
Sinkhorn, 1967; Cuturi, NeurIPS 2013, arXiv:1306.0895.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.solvers.checks import check_mass, check_positive, check_square, divide

MARGINALS = ("target", "source")
_CHECK_EVERY = 5  # iterations between looks at the marginals: each look waits for the GPU
_COLUMNS = 4  # products of an N x N with an N x C matrix are a third faster on CPUs when C is a multiple of it
_LARGEST_EXPONENT = 80.0  # exp(-C / epsilon) is a normal float32 number up to 87


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
        log_domain: iterate on logarithms, slower, for costs above 80 epsilon; ``None``: when needed.

    Returns:
        D, (..., N, C), >= 0, float32 (float64 for float64); 0 for rejected classes, and where no mass can arrive.

    Raises:
        ValueError: wrong shapes or ranges.
    """
    if marginal not in MARGINALS:
        raise ValueError(f"marginal must be one of {list(MARGINALS)}, but got {marginal!r}.")
    mass, cost, in_logs = _prepare(mass, cost, epsilon, iterations, log_domain)
    if in_logs:
        log_mu, log_nu = _scale_logs(mass, cost, epsilon, iterations, tolerance)
        return _path_from_logs(log_mu, log_nu, cost, epsilon, marginal)
    kernel, transposed = _kernels(cost, epsilon)
    mu, nu = _scale(mass, kernel, transposed, iterations, tolerance)
    if bool(cost.isinf().any()):
        cost = cost.masked_fill(cost.isinf(), 0)  # their kernel is 0
    return nu * (transposed.mul_(cost.mT) @ mu) if marginal == "target" else mu * (kernel.mul_(cost) @ nu)


def sinkhorn_plan_potentials(
    mass: Tensor,
    cost: Tensor,
    *,
    epsilon: float = 0.1,
    iterations: int = 50,
    tolerance: float = 1e-5,
    log_domain: bool | None = None,
) -> tuple[Tensor, Tensor]:
    """The scaling vectors of the optimal plan, see :func:`optimal_path`.

    Returns:
        mu and nu, each (..., N, C): the plan of class c is ``mu[:, c, None] * exp(-cost / epsilon) * nu[None, :, c]``.
        Its columns sum to 1 / N, its rows to the mass (as nearly as the iterations got). Scaled so that both have the
        same largest entry, which a small epsilon needs to stay within range.
    """
    mass, cost, in_logs = _prepare(mass, cost, epsilon, iterations, log_domain)
    if in_logs:
        log_mu, log_nu = _scale_logs(mass, cost, epsilon, iterations, tolerance)
    else:
        scalings = _scale(mass, *_kernels(cost, epsilon), iterations, tolerance)
        log_mu, log_nu = (scaling.log() for scaling in scalings)
    shift = (log_nu.amax(dim=-2, keepdim=True) - log_mu.amax(dim=-2, keepdim=True)) / 2
    shift = shift.nan_to_num(0, 0, 0)  # rejected classes have no scale
    return (log_mu + shift).exp(), (log_nu - shift).exp()


def _prepare(
    mass: Tensor, cost: Tensor, epsilon: float, iterations: int, log_domain: bool | None
) -> tuple[Tensor, Tensor, bool]:
    """Checked mass and cost, and whether to iterate on logarithms."""
    check_positive(epsilon=epsilon, iterations=iterations)
    mass = check_mass(mass)
    cost = check_square("cost", cost, mass)
    batch = torch.broadcast_shapes(mass.shape[:-2], cost.shape[:-2])
    mass, cost = mass.expand(*batch, *mass.shape[-2:]), cost.expand(*batch, *cost.shape[-2:])
    low, high = (value.item() for value in cost.aminmax())
    if not low >= 0:
        raise ValueError(f"cost must be >= 0 and defined everywhere, but its smallest entry is {low:.3g}.")
    if log_domain is None:
        if high == torch.inf:
            high = cost.masked_fill(cost.isinf(), 0).amax().item()
        log_domain = high > _LARGEST_EXPONENT * epsilon
    return mass, cost, log_domain


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
        if iteration % _CHECK_EVERY == 0 and bool((mu * given - mass).abs().sum(dim=-2).amax() <= tolerance):
            break
    nu = divide(share, received)  # 0 where nothing can arrive
    return mu[..., :classes], nu[..., :classes]


def _scale_logs(mass: Tensor, cost: Tensor, epsilon: float, iterations: int, tolerance: float) -> tuple[Tensor, Tensor]:
    """The logarithms of mu and nu, each (..., N, C); one class at a time, because a log kernel cannot be multiplied."""
    log_kernel = cost / -epsilon
    share = -torch.log(torch.tensor(mass.shape[-2], dtype=mass.dtype, device=mass.device))
    scaled = [_scale_log(log_f, log_kernel, share, iterations, tolerance) for log_f in mass.log().unbind(dim=-1)]
    log_mu, log_nu = (torch.stack(vectors, dim=-1) for vectors in zip(*scaled, strict=True))
    return log_mu, log_nu


def _scale_log(
    log_f: Tensor, log_kernel: Tensor, log_share: Tensor, iterations: int, tolerance: float
) -> tuple[Tensor, Tensor]:
    """The logarithms of mu and nu (..., N) of one class."""
    log_given = log_kernel.logsumexp(dim=-1).expand_as(log_f)
    log_mu = log_nu = log_f
    for iteration in range(1, iterations + 1):
        log_mu = _subtract(log_f, log_given)
        log_nu = _subtract(log_share, (log_kernel + log_mu[..., None]).logsumexp(dim=-2))
        if iteration == iterations:
            break
        log_given = (log_kernel + log_nu[..., None, :]).logsumexp(dim=-1)
        if iteration % _CHECK_EVERY == 0:
            missed = (log_mu + log_given).exp() - log_f.exp()
            if bool(missed.abs().sum(dim=-1).amax() <= tolerance):
                break
    return log_mu, log_nu


def _subtract(log_numerator: Tensor, log_denominator: Tensor) -> Tensor:
    """The logarithm of a quotient, that of 0 where the denominator is 0."""
    return torch.where(log_denominator > -torch.inf, log_numerator - log_denominator, -torch.inf)


def _path_from_logs(log_mu: Tensor, log_nu: Tensor, cost: Tensor, epsilon: float, marginal: str) -> Tensor:
    """D (..., N, C) of one class at a time."""
    finite = cost.masked_fill(cost.isinf(), 0)
    paths = []
    for mu, nu in zip(log_mu.unbind(dim=-1), log_nu.unbind(dim=-1), strict=True):
        plan = (cost / -epsilon).add_(mu[..., None]).add_(nu[..., None, :]).exp_()  # (..., N, N)
        paths.append(plan.mul_(finite).sum(dim=-2 if marginal == "target" else -1))
    return torch.stack(paths, dim=-1)
