"""Distractors: patch tokens that a few channels dominate, and what is done to them (RF-CLIP, arXiv:2511.16170)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.ops.constants import constant

_SMALLEST_SUM = 1e-8


def find_distractors(patches: Tensor, channels: Sequence[int], sigma: float, *, shifted: bool) -> Tensor:
    """Tokens one of whose distraction channels has more than sigma times the mean of all channels.

    f_i = x_i - min x_i if shifted, else x_i;   i is one if max_{j in channels} (f_i[j] / sum_k f_i[k]) > sigma / D

    Args:
        patches: x, (B, N, D).
        channels: the distraction channels.
        sigma: > 0.
        shifted: whether the smallest channel of a token is brought to 0 first.

    Returns:
        (B, N) bool.
    """
    width, largest, total = patches.shape[-1], _of_channels(patches, channels), patches.sum(dim=-1, keepdim=True)
    if shifted:  # the sum and the few channels, not all of them
        smallest = patches.amin(dim=-1, keepdim=True)
        largest, total = largest - smallest, (total - width * smallest).clamp_min(_SMALLEST_SUM)
    return (largest / total).amax(dim=-1) > sigma / width


def blend_with_box(patches: Tensor, which: Tensor, grid: tuple[int, int], share: float) -> Tensor:
    """x_i <- (1 - share) x_i + share (sum of the 3x3 patches around i, zeros beyond the border) / 9 for some tokens.

    Args:
        patches: (B, N, D).
        which: (B, N) bool; the others stay.
        grid: rows and columns (h, w) of patches, N = hw.
        share: in [0, 1].
    """
    # Of all tokens, also where few are blended: to pick some out, a GPU would have to say how many there are.
    maps = patches.transpose(1, 2).unflatten(2, grid)
    box = F.avg_pool2d(maps, 3, stride=1, padding=1).flatten(2).transpose(1, 2)
    return torch.where(which[..., None], (1 - share) * patches + share * box, patches)


def replace_channels(patches: Tensor, which: Tensor, grid: tuple[int, int], channels: Sequence[int]) -> Tensor:
    """In some channels of some tokens, put the mean of the token's up to 8 neighbours in the image.

    Args:
        patches: (B, N, D).
        which: (B, N) bool; the others stay, as does the token of a single patch.
        grid: rows and columns (h, w) of patches, N = hw.
        channels: the others stay.
    """
    if patches.shape[1] == 1:
        return patches
    chosen = _of_channels(patches, channels)
    maps = F.pad(chosen, (0, 1), value=1.0).transpose(1, 2).unflatten(2, grid)  # the last channel counts patches
    sums = 9 * F.avg_pool2d(maps, 3, stride=1, padding=1) - maps
    mean = (sums[:, :-1] / sums[:, -1:]).flatten(2).transpose(1, 2)
    index = constant(tuple(channels), torch.int64, patches.device)
    return patches.index_copy(-1, index, torch.where(which[..., None], mean, chosen))


def _of_channels(patches: Tensor, channels: Sequence[int]) -> Tensor:
    """(B, N, D) -> (B, N, channels)."""
    return patches.index_select(-1, constant(tuple(channels), torch.int64, patches.device))


def redistribute_attention(attention: Tensor, sources: Tensor, targets: Tensor, share: float) -> Tensor:
    """Take a share of what every query pays to some keys, and give it to others in proportion to what they have.

    A_ij <- (1 - share) A_ij for sources j;   for targets:   A_ij <- A_ij (1 + share sum_sources A_i / sum_targets A_i)

    Args:
        attention: A, (B, heads, L, L), > 0.
        sources: (B, L) bool.
        targets: (B, L) bool, none of them a source; where an image has none, its attention stays.
        share: in [0, 1].

    Returns:
        (B, heads, L, L); rows sum to what they did.
    """
    sources = sources & targets.any(dim=1, keepdim=True)
    taken, given = (keys[:, None, None].to(attention.dtype) for keys in (sources, targets))  # (B, 1, 1, L)
    removed = share * (attention * taken).sum(dim=-1, keepdim=True)
    had = (attention * given).sum(dim=-1, keepdim=True).clamp_min(torch.finfo(attention.dtype).tiny)
    return attention * (1 - share * taken + given * removed / had)
