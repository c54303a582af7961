"""Aggregation by attention that similar values vouch for (Trident, ICCV 2025, arXiv:2411.09219).

Of heads with attention a (N, N) and values v (N, d), where a patch m attends to patches n:

    s_mn = cos(v_m, v_n) in each head,   theta_m = factor * mean of s_mn over heads and n, n = m included
    theta_m < 0 -> 0.6, if negative thresholds are lifted;   theta_m > 0.9 -> 0.9
    A = mean over heads of a where s > theta, else 0;   rows of A sum to 1;   features <- A features

Some rows of all heads are held at a time, never N x N of a head.
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

LIFTED, HIGHEST = 0.6, 0.9  # thresholds
_ELEMENTS = 1 << 24  # numbers of one map held at a time

Attention = Callable[[slice], Tensor]
"""Rows of N queries -> their attention to the N patches in every head, (heads, r, N)."""


def similarity_thresholds(values: Tensor, factor: float, *, lift_negative: bool) -> Tensor:
    """Theta (N,) of values (heads, N, d)."""
    unit = F.normalize(values, dim=-1)
    # The mean over n of the cosines is the cosine with the mean.
    thresholds = factor * (unit @ unit.mean(dim=1)[..., None])[..., 0].mean(dim=0)
    if lift_negative:
        thresholds = torch.where(thresholds < 0, LIFTED, thresholds)
    return thresholds.clamp(max=HIGHEST)


def affinity_rows(attention: Attention, values: Tensor, thresholds: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Some rows of A at a time: yields which, and their values (r, N).

    A patch whose attention no value vouches for keeps its own features.

    Args:
        attention: a.
        values: v, (heads, N, d).
        thresholds: theta, (N,).
    """
    unit = F.normalize(values, dim=-1)
    heads, count, _ = values.shape
    step = max(1, _ELEMENTS // (heads * count))
    for start in range(0, count, step):
        rows = slice(start, min(start + step, count))
        similar = unit[:, rows] @ unit.transpose(1, 2) > thresholds[rows, None]  # (heads, r, N)
        kept = attention(rows).mul(similar).mean(dim=0)  # (r, N)
        total = kept.sum(dim=1, keepdim=True)
        own = torch.arange(rows.start, rows.stop, device=kept.device)[:, None]
        itself = own == torch.arange(count, device=kept.device)
        yield rows, torch.where(total > 0, kept / total, itself.to(kept.dtype))


def aggregate(features: Tensor, attention: Attention, values: Tensor, thresholds: Tensor) -> Tensor:
    """A features: (N, C) -> (N, C); other arguments as for :func:`affinity_rows`."""
    parts = [rows.to(features.dtype) @ features for _, rows in affinity_rows(attention, values, thresholds)]
    return torch.cat(parts)
