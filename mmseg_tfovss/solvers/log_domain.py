"""Sinkhorn's iteration on logarithms, in float64: for kernels exp(-C / epsilon) that float64 itself cannot hold."""

import torch
from torch import Tensor

CHECK_EVERY = 5  # iterations between looks at the marginals: each look waits for the GPU


def scale_logs(mass: Tensor, cost: Tensor, epsilon: float, iterations: int, tolerance: float) -> tuple[Tensor, Tensor]:
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
        if iteration % CHECK_EVERY == 0:
            missed = (log_mu + log_given).exp() - log_f.exp()
            if bool((missed.abs().sum(dim=-1) <= tolerance).all()):
                break
    return log_mu, log_nu


def _subtract(log_numerator: Tensor, log_denominator: Tensor) -> Tensor:
    """The logarithm of a quotient, that of 0 where the denominator is 0."""
    return torch.where(log_denominator > -torch.inf, log_numerator - log_denominator, -torch.inf)


def path_from_logs(log_mu: Tensor, log_nu: Tensor, cost: Tensor, epsilon: float, marginal: str) -> Tensor:
    """D (..., N, C) of one class at a time."""
    finite = cost.masked_fill(cost.isinf(), 0)
    paths = []
    for mu, nu in zip(log_mu.unbind(dim=-1), log_nu.unbind(dim=-1), strict=True):
        plan = (cost / -epsilon).add_(mu[..., None]).add_(nu[..., None, :]).exp_()  # (..., N, N)
        paths.append(plan.mul_(finite).sum(dim=-2 if marginal == "target" else -1))
    return torch.stack(paths, dim=-1)
