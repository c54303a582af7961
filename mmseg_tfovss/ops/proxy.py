"""Proxy attention: patches attend to those that another network finds alike (ProxyCLIP, ECCV 2024, arXiv:2408.04883).

    s_ij = cos(E_i, E_j),   s <- gamma (s - beta mean(s)),   A = softmax_j(s where s >= 0)

with features E of the N patches; the mean is over all N x N pairs, diagonal included.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def proxy_attention(features: Tensor, beta: float, gamma: float, *, shared_mean: bool = False) -> Tensor:
    """Attention weights A of windows.

    Args:
        features: E (B, D, h, w), on the grids of N = h w patches.
        beta: how many times the mean a similarity must reach.
        gamma: inverse temperature, > 0.
        shared_mean: the mean is over the pairs of all B windows; False: each window has its own.

    Returns:
        (B, N, N) of the features' dtype, rows sum to 1. A patch always attends to itself, also where all are so alike
        that no similarity reaches beta times their mean.
    """
    unit = F.normalize(features.flatten(2), dim=1)  # (B, D, N)
    scores = unit.transpose(1, 2) @ unit  # (B, N, N)
    mean = scores.mean() if shared_mean else scores.mean(dim=(1, 2), keepdim=True)
    scores = scores.sub_(beta * mean).mul_(gamma)
    below = scores < 0
    below.diagonal(dim1=1, dim2=2).fill_(False)
    return scores.masked_fill_(below, -torch.inf).softmax(dim=-1)
