"""Patch tokens on their grid: which ones are sparse, filling those in from neighbours, mixing alike ones."""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.deferred import is_known

NORMALISATIONS = ("column", "row")


def hoyer(tokens: Tensor) -> Tensor:
    """Hoyer's sparsity (sqrt(D) - |x|_1 / |x|_2) / (sqrt(D) - 1) of tokens.

    Args:
        tokens: (..., N, D) with D > 1.

    Returns:
        (..., N) in [0, 1]: 1 for one active channel, 0 for channels of equal size, and for zero tokens.
    """
    root = tokens.shape[-1] ** 0.5
    ratio = torch.linalg.vector_norm(tokens, ord=1, dim=-1) / torch.linalg.vector_norm(tokens, dim=-1)
    return ((root - ratio) / (root - 1)).clamp(0, 1).nan_to_num(0)


def replace_abnormal(
    tokens: Tensor, abnormal: Tensor, grid: tuple[int, int], sigma: float = 1.0, *, grow: bool = True
) -> Tensor:
    """Replace abnormal tokens by a Gaussian mean of the normal ones around them.

    x_i <- sum_j w_ij x_j / sum_j w_ij,  w_ij = exp(-|i - j|^2 / (2 sigma^2)) for normal j in the 3x3 patches around i.
    Where none of those is normal the window is the smallest larger one, 5x5, 7x7, ..., that has a normal token.

    Args:
        tokens: (B, N, D).
        abnormal: (B, N) bool.
        grid: rows and columns (h, w) of patches, N = hw.
        sigma: in patches, > 0; infinite: a plain mean.
        grow: False: an abnormal token without a normal one in its 3x3 patches stays what it was.

    Returns:
        (B, N, D); normal tokens are what they were, as are all tokens of an image in which none is normal.
    """
    if is_known(~abnormal.any()):
        return tokens
    squared, steps = patch_distances(grid, tokens.device)  # each (N, N)
    nearest = steps.expand(len(tokens), -1, -1).masked_fill(abnormal[:, None], max(grid)).amin(dim=-1)  # (B, N)
    window = (steps <= nearest.clamp_min(1)[..., None]) & ~abnormal[:, None]  # (B, N, N)
    # As a softmax, the weights sum to 1 however far away the nearest normal token is.
    scores = (squared.to(tokens.dtype) / (-2 * sigma**2)).masked_fill(~window, -torch.inf)
    replaced = scores.softmax(dim=-1) @ tokens
    found = abnormal & ~abnormal.all(dim=1, keepdim=True)
    if not grow:
        found = found & (nearest <= 1)
    return torch.where(found[..., None], replaced, tokens)


def cosines(tokens: Tensor) -> Tensor:
    """Of tokens (B, N, D), among each other: (B, N, N); 0 for zero tokens."""
    unit = F.normalize(tokens, dim=-1)
    return unit @ unit.transpose(1, 2)


def refine(tokens: Tensor, source: Tensor, beta: float, normalisation: str = "column") -> Tensor:
    """Mix tokens that are alike elsewhere: Norm(S_beta) X, S_beta = cosines of the source's tokens, if >= beta, else 0.

    Args:
        tokens: X, (B, N, D).
        source: (B, N, C), whose cosines are taken.
        beta: smallest cosine that counts, in [0, 1].
        normalisation: ``column``: every old token gives the same amount in total; ``row``: every new token is a convex
            combination of the old ones.

    Returns:
        (B, N, D). A token whose source is zero is alike to none, not even itself, and stays.

    Raises:
        ValueError: an unknown normalisation.
    """
    return mix_alike(tokens, cosines(source), beta, normalisation)


def mix_alike(tokens: Tensor, similarity: Tensor, beta: float, normalisation: str = "column") -> Tensor:
    """The same, of cosines (B, N, N) that are there already; they are not written to."""
    if normalisation not in NORMALISATIONS:
        raise ValueError(f"normalisation must be one of {list(NORMALISATIONS)}, but got {normalisation!r}.")
    kept = similarity.masked_fill(similarity < beta, 0)
    alone = kept.diagonal(dim1=1, dim2=2) <= 0  # (B, N)
    kept = kept + torch.diag_embed(alone.to(kept.dtype))
    weights = kept / kept.sum(dim=-1 if normalisation == "row" else 1, keepdim=True)
    return weights @ tokens


@lru_cache(maxsize=8)
def patch_distances(grid: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Between patches, each (N, N): squared, and in rings of patches (the larger of rows and columns)."""
    rows, columns = (index.flatten() for index in torch.meshgrid(*map(torch.arange, grid), indexing="ij"))
    apart = torch.stack([rows[:, None] - rows, columns[:, None] - columns]).abs()  # (2, N, N)
    return apart.square().sum(dim=0).to(device), apart.amax(dim=0).to(device, torch.int16)


def values_on_grid(values: Tensor, source: tuple[int, int], target: tuple[int, int]) -> Tensor:
    """Values of patches on another grid, heads side by side: where all share one attention, one product does.

    Args:
        values: (B, heads, 1 + h w, d), the class token's first, which is left out.
        source: h and w.
        target: h' and w'.

    Returns:
        (B, h' w', heads d).
    """
    return bring_to_grid(values[:, :, 1:].transpose(1, 2).flatten(2), source, target)


def bring_to_grid(tokens: Tensor, source: tuple[int, int], target: tuple[int, int]) -> Tensor:
    """Resample tokens bilinearly from one grid of patches to another.

    Args:
        tokens: (B, h w, C), without a class token.
        source: h and w.
        target: h' and w'.

    Returns:
        (B, h' w', C).
    """
    maps = tokens.transpose(1, 2).unflatten(2, source)
    return F.interpolate(maps, size=target, mode="bilinear", align_corners=False).flatten(2).transpose(1, 2)
