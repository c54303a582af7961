"""Area under the ROC curve, exact, for many score vectors over the same labels.

AUC = P(s+ > s-) + P(s+ = s-) / 2 over all pairs of a positive and a negative (Mann-Whitney).
"""

import torch
from torch import Tensor

_ELEMENTS = 1 << 22  # scores sorted at a time
_MAGNITUDE = 0x7FFFFFFF


def roc_auc(scores: Tensor, positive: Tensor) -> Tensor:
    """ROC-AUC of each row of scores, by one sort per row; ties count half.

    Args:
        scores: (..., P), compared as float32.
        positive: (P,) bool, the same for all rows.

    Returns:
        (...), float64: 1 where every positive scores above every negative, 0.5 for chance.

    Raises:
        ValueError: the positives or the negatives are missing, or a score is not a number.
    """
    found = int(positive.sum())
    pairs = found * (len(positive) - found)
    if not pairs:
        raise ValueError(f"ROC-AUC needs positives and negatives, but {found} of {len(positive)} labels are positive.")
    if bool(scores.isnan().any()):
        raise ValueError("ROC-AUC: a score is not a number.")
    rows = scores.reshape(-1, scores.shape[-1])
    step = max(1, _ELEMENTS // len(positive))
    doubled = torch.cat([_doubled_wins(part, positive) for part in rows.split(step)])
    return (doubled.double() / (2 * pairs)).view(scores.shape[:-1])


def _doubled_wins(scores: Tensor, positive: Tensor) -> Tensor:
    """Twice the number of (positive, negative) pairs that are in order, ties half: (R, P) -> (R,) int64."""
    # A float32's bits, order-preserving, with the label below them: of equal scores, negatives come first.
    keys = ((_ordered_bits(scores) << 1) | positive).sort(dim=-1).values
    is_positive = (keys & 1).bool()
    through = (~is_positive).cumsum(dim=-1)  # negatives up to here; at a positive, also all that are tied with it
    value = keys >> 1
    starts = torch.ones_like(is_positive)
    starts[:, 1:] = value[:, 1:] != value[:, :-1]
    before = torch.where(starts, through - (~is_positive).long(), 0).cummax(dim=-1).values  # negatives that are lower
    return ((through + before) * is_positive).sum(dim=-1)


def _ordered_bits(scores: Tensor) -> Tensor:
    bits = (scores.float() + 0.0).contiguous().view(torch.int32).long()  # + 0.0: minus zero is zero
    return torch.where(bits < 0, bits ^ _MAGNITUDE, bits)
