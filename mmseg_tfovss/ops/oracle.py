"""Attention under the ground truth's guidance: not a method but an upper bound, for ablations."""

import torch
import torch.nn.functional as F
from torch import Tensor


def keep_within_labels(scores: Tensor, labels: Tensor) -> Tensor:
    """Let every patch attend to the patches of its own label only; the class token attends to all tokens.

    Args:
        scores: (B, 1 + N, 1 + N), before the softmax, the class token first.
        labels: (B, N) of the patches.

    Returns:
        The scores, -inf where there is to be no attention.
    """
    elsewhere = labels[:, :, None] != labels[:, None]  # (B, N, N)
    elsewhere = F.pad(elsewhere, (1, 0), value=True)  # no patch attends to the class token
    return scores.masked_fill(F.pad(elsewhere, (0, 0, 1, 0), value=False), -torch.inf)
