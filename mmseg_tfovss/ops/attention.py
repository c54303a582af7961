"""Attention of the last block, in the variants that the papers use. Fused kernels, no N x N matrix kept."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


def self_correlation(tokens: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
    """softmax(x x^T / sqrt(d) + bias) v: attention in which one projection is both query and key.

    Args:
        tokens: (B, heads, L, d), the queries or the keys.
        value: (B, heads, L, d).
        bias: added to the logits before the softmax, broadcastable to (B, heads, L, L).

    Returns:
        (B, heads, L, d).
    """
    if bias is not None:
        bias = bias.to(tokens.dtype)
    return F.scaled_dot_product_attention(tokens, tokens, value, attn_mask=bias)


class Scores(NamedTuple):
    """What one softmax of an attention is taken of: left right^T / sqrt(d) + bias.

    Attributes:
        left: (B, heads, L, d); each of its tokens is a row of the attention.
        right: (B, heads, L, d).
        bias: broadcastable to (B, heads, L, L); None: nothing.
    """

    left: Tensor
    right: Tensor
    bias: Tensor | None = None


def attention_sum(
    terms: Iterable[Scores], value: Tensor, *, factor: float = 1.0, prior: Tensor | None = None
) -> Tensor:
    """Sum over terms of softmax(factor * left right^T / sqrt(d) + prior + bias) v.

    Args:
        terms: the scores of each softmax, at least one.
        value: (B, heads, L, d).
        factor: of the products, > 0; not of prior and bias.
        prior: added to the scores of every term, broadcastable to (B, heads, L, L).

    Returns:
        (B, heads, L, d).
    """
    scale = None if factor == 1 else factor * value.shape[-1] ** -0.5
    total: Tensor | None = None
    for left, right, bias in terms:
        mask = bias if prior is None else prior if bias is None else prior + bias
        mask = None if mask is None else mask.to(left.dtype)
        found = F.scaled_dot_product_attention(left, right, value, attn_mask=mask, scale=scale)
        total = found if total is None else total + found
    assert total is not None
    return total


def attend_above_mean(similarity: Tensor, scale: float) -> Tensor:
    """Attention weights softmax(scale (S - mean S)) among the entries that are at least the mean of the matrix.

    Args:
        similarity: S, (B, L, L), in which every token is as alike to itself as to any other.
        scale: > 0.

    Returns:
        (B, L, L), rows sum to 1.
    """
    scores = scale * (similarity - similarity.mean(dim=(1, 2), keepdim=True))
    # A token sees itself, also where all are alike and rounding puts them below their mean.
    itself = torch.eye(scores.shape[-1], dtype=torch.bool, device=scores.device)
    return scores.masked_fill((scores < 0) & ~itself, -torch.inf).softmax(dim=-1)


def gaussian_neighbourhood(grid: tuple[int, int], sigma: float) -> Tensor:
    """NACLIP's prior: exp(-distance^2 / (2 sigma^2)) between patches; 0 in the row and column of the class token.

    Args:
        grid: rows and columns (h, w) of patches.
        sigma: standard deviation in patches.

    Returns:
        (1 + hw, 1 + hw) float32; 1 on the diagonal of the patches.
    """
    rows, columns = (
        torch.exp(-(torch.arange(size)[:, None] - torch.arange(size)).square() / (2 * sigma**2)) for size in grid
    )
    patches = torch.kron(rows, columns)  # the Gaussian is separable
    return F.pad(patches, (1, 0, 1, 0))


def cosine_correlation(tokens: Tensor, value: Tensor, inverse_temperature: Tensor) -> Tensor:
    """softmax(cos(x, x) / temperature) v: the same of unit vectors, with a temperature of each image.

    Args:
        tokens: (B, heads, L, d).
        value: (B, heads, L, d).
        inverse_temperature: (B,).

    Returns:
        (B, heads, L, d).
    """
    unit = F.normalize(tokens, dim=-1)
    sharp = unit * inverse_temperature.to(unit.dtype)[:, None, None, None]
    return F.scaled_dot_product_attention(sharp, unit, value, scale=1.0)
