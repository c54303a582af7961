"""How sparse tokens are, and what the sparse, "abnormal" ones have in common. Zhou et al., arXiv:2510.23894.

Hoyer score H(x) = (sqrt(C) - |x|_1 / |x|_2) / (sqrt(C) - 1), from 0 (all channels alike) to 1 (one active channel).
Abnormal are the tokens with H > tau behind block L - 1; what is compared are these tokens, also in earlier blocks.

Everything is a sum over images, so memory does not grow with their number: with unit vectors u and s = sum of u, the
mean cosine over pairs i != j of n tokens is (|s|^2 - n) / (n (n - 1)); over pairs from different images it is
(|sum of s|^2 - sum of |s|^2) / ((sum of n)^2 - sum of n^2).
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.ops.tokens import hoyer

Sums = dict[str, Tensor]
KINDS = ("abnormal", "normal")
MAP_SIDE, BINS = 24, 50  # of the mean Hoyer map and of the histogram
_TOP_CHANNELS = 5


def sum_hoyer(tokens: Tensor, grid: tuple[int, int], tau: float) -> Sums:
    """One image's part of the Hoyer statistics.

    Args:
        tokens: patches behind K blocks, (K, h w, C).
        grid: h and w.
        tau: what is above it counts as abnormal.

    Returns:
        ``tokens`` (), ``hoyer`` and ``hoyer_above`` (K,), ``hoyer_histogram`` (K, BINS), ``hoyer_map`` (K, S, S).
    """
    scores = hoyer(tokens)  # (K, h w)
    bins = (scores * BINS).long().clamp_max(BINS - 1)
    histogram = torch.zeros(len(tokens), BINS, dtype=torch.float64, device=tokens.device)
    maps = scores.unflatten(1, grid)[None]
    return {
        "tokens": torch.tensor(float(scores.shape[1])),
        "hoyer": scores.double().sum(dim=1),
        "hoyer_above": (scores > tau).double().sum(dim=1),
        "hoyer_histogram": histogram.scatter_add_(1, bins, torch.ones_like(scores, dtype=torch.float64)),
        "hoyer_map": F.interpolate(maps, size=(MAP_SIDE, MAP_SIDE), mode="bilinear", align_corners=False)[0],
    }


def sum_similarity(tokens: Tensor, tau: float) -> Sums:
    """One image's part of what abnormal and normal tokens have in common.

    Args:
        tokens: patches behind blocks 1 .. L - 1, (L - 1, N, C); the last ones decide who is abnormal.
        tau: on their Hoyer score.

    Returns:
        For each kind: ``count``, ``count_squared``, ``direction`` (C,), ``direction_squared``, ``position_cosine`` with
        ``position_images``, ``layer_cosine`` (L - 1, L - 1), ``activation`` (C,), ``sorted_activation`` (C,).
    """
    abnormal = hoyer(tokens[-1]) > tau
    units = F.normalize(tokens, dim=-1)
    sums: Sums = {}
    for kind, chosen in zip(KINDS, (abnormal, ~abnormal), strict=True):
        part = _sum_kind(tokens[-1, chosen].double(), units[:, chosen])
        sums |= {f"{kind}_{name}": value for name, value in part.items()}
    both = sums["abnormal_count"] * sums["normal_count"]
    across = sums["abnormal_direction"] @ sums["normal_direction"] / both.clamp_min(1)
    return sums | {"between_cosine": across, "between_images": (both > 0).double()}


def _sum_kind(tokens: Tensor, units: Tensor) -> Sums:
    """Sums over n tokens (n, C) of one kind; units (K, n, C) are theirs in every block."""
    count = torch.tensor(float(len(tokens)), dtype=torch.float64, device=tokens.device)
    direction = units[-1].double().sum(dim=0)
    squared = direction.square().sum()
    return {
        "count": count,
        "count_squared": count**2,
        "direction": direction,
        "direction_squared": squared,
        "position_cosine": (squared - count) / (count * (count - 1)).clamp_min(1) * (count > 1),
        "position_images": (count > 1).double(),
        "layer_cosine": torch.einsum("knc,mnc->km", units, units).double(),
        "activation": tokens.abs().sum(dim=0),
        "sorted_activation": tokens.abs().sort(dim=1, descending=True).values.sum(dim=0),
    }


def summarise_similarity(sums: Mapping[str, Tensor]) -> dict[str, Any]:
    """Means of what :func:`sum_similarity` gave for many images; ``None`` where there was nothing to compare."""
    kinds = {kind: _summarise_kind(sums, f"{kind}_") for kind in KINDS}
    return {**kinds, "abnormal_to_normal": divide(sums["between_cosine"], sums["between_images"])}


def _summarise_kind(sums: Mapping[str, Tensor], prefix: str) -> dict[str, Any]:
    part = {name.removeprefix(prefix): value for name, value in sums.items() if name.startswith(prefix)}
    count = part["count"]
    other_images = part["direction"].square().sum() - part["direction_squared"]
    activation = part["activation"] / count.clamp_min(1)
    top = activation.topk(min(_TOP_CHANNELS, len(activation)))
    some = bool(count > 0)
    return {
        "tokens": int(count),
        "share": float(count / sums["tokens"]),
        "across_positions": divide(part["position_cosine"], part["position_images"]),
        "across_images": divide(other_images, count**2 - part["count_squared"]),
        "across_layers": (part["layer_cosine"] / count).tolist() if some else None,
        "mean_activation": activation.tolist() if some else None,
        "sorted_activation": (part["sorted_activation"] / count).tolist() if some else None,
        "top_channels": [[int(c), float(a)] for a, c in zip(*top, strict=True)] if some else None,
    }


def divide(total: Tensor, count: Tensor) -> float | None:
    """A mean, or ``None`` of nothing."""
    return float(total / count) if bool(count > 0) else None
