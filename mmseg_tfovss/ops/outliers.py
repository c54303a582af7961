"""Tokens that lie more sparsely than their neighbours. Local outlier factor: Breunig et al., SIGMOD 2000."""

import torch
from torch import Tensor


def squared_distances(tokens: Tensor) -> Tensor:
    """|x_i - x_j|^2 of tokens (B, N, D), by matrix products: (B, N, N)."""
    # What all tokens share goes first: in |x|^2 + |y|^2 - 2xy it would cost the digits that tell neighbours apart.
    centred = tokens - tokens.mean(dim=1, keepdim=True)
    norms = centred.square().sum(dim=-1)
    products = centred @ centred.transpose(1, 2)
    return (norms[:, :, None] + norms[:, None] - 2 * products).clamp_min(0)


def nearest_neighbours(tokens: Tensor, neighbours: int) -> tuple[Tensor, Tensor]:
    """The k nearest others of each token, or all others where there are fewer.

    Args:
        tokens: (B, N, D) with N > 1.
        neighbours: k >= 1.

    Returns:
        Their squared distances, ascending, and their indices, each (B, N, k).
    """
    distances = squared_distances(tokens)
    distances.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    nearest, indices = distances.topk(min(neighbours, tokens.shape[1] - 1), dim=-1, largest=False)
    return nearest, indices


def local_outlier_factor(tokens: Tensor, neighbours: int) -> Tensor:
    """Mean density of a token's k nearest neighbours over its own density.

    density_i = 1 / mean_j max(|x_i - x_j|, r_j) over the neighbours j, with r_j the distance from j to its own k-th
    neighbour.

    Args:
        tokens: (B, N, D).
        neighbours: k >= 1; all others where there are fewer.

    Returns:
        (B, N): about 1 within a cluster, more outside; 1 for a token that is alone.
    """
    if tokens.shape[1] < 2:
        return tokens.new_ones(tokens.shape[:2])
    squared, indices = nearest_neighbours(tokens, neighbours)
    nearest = squared.sqrt()
    reach = torch.maximum(nearest, _of_neighbours(nearest[..., -1], indices)).mean(dim=-1)
    return _against_neighbours(reach, indices)


def radius_ratio(tokens: Tensor, neighbours: int) -> Tensor:
    """Mean over a token's k nearest neighbours j of r_i^2 / r_j^2, with r the distance to the k-th neighbour.

    It is the local outlier factor with r_i in place of every max(|x_i - x_j|, r_j), on squared distances.

    Args:
        tokens: (B, N, D).
        neighbours: k >= 1; all others where there are fewer.

    Returns:
        (B, N), likewise.
    """
    if tokens.shape[1] < 2:
        return tokens.new_ones(tokens.shape[:2])
    squared, indices = nearest_neighbours(tokens, neighbours)
    return _against_neighbours(squared[..., -1], indices)


def largest(scores: Tensor, share: float) -> Tensor:
    """Which of the scores (B, N) lie above the quantile 1 - ``share`` (in [0, 1]) of their row, (B, N)."""
    return scores > scores.quantile(1 - share, dim=-1, keepdim=True)


def _against_neighbours(reach: Tensor, indices: Tensor) -> Tensor:
    """Densities 1 / reach of neighbours over a token's own, (B, N); among equal tokens reach is 0, and kept above."""
    limits = torch.finfo(reach.dtype)
    least = (limits.eps * reach.amax(dim=1, keepdim=True)).clamp_min(limits.tiny)
    reach = torch.maximum(reach, least)
    return (reach[..., None] / _of_neighbours(reach, indices)).mean(dim=-1)


def _of_neighbours(values: Tensor, indices: Tensor) -> Tensor:
    """Values (B, N) of the neighbours (B, N, k) of each token: (B, N, k)."""
    return values.gather(1, indices.flatten(1)).view_as(indices)
