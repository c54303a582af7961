"""From logits to masses over patches and back: what DSLO does before and after it solves for the discrepancy.

Logits and masses are (N, C) here: N patches, C queries (or classes).
"""

import torch
from torch import Tensor

NORMALISATIONS = ("softmax", "probabilities")


def confidences(logits: Tensor, query_class: Tensor, scale: float) -> Tensor:
    """Probability of the class of every query, at every patch.

    Synonyms would halve each other's probability; so what counts for each is that of their class.

    Args:
        logits: (N, C), cosines.
        query_class: (C,) class of each query.
        scale: factor on the logits before the softmax over queries.

    Returns:
        (N, C), in [0, 1]; equal for queries of one class.
    """
    probabilities = (scale * logits).softmax(dim=1)
    per_class = probabilities.new_zeros(len(logits), int(query_class.max()) + 1)
    return per_class.index_add_(1, query_class, probabilities)[:, query_class]


def normalise(
    logits: Tensor, kept: Tensor, scale: float, normalisation: str = "softmax", probabilities: Tensor | None = None
) -> Tensor:
    """Mass of every query over the patches: columns sum to 1, or to 0 for a query of which nothing was kept.

    Args:
        logits: (N, C), cosines.
        kept: (N, C) bool; all other entries become exactly 0.
        scale: factor on the logits before the softmax over patches.
        normalisation: ``softmax`` over the patches, or ``probabilities`` divided by their sum over the patches.
        probabilities: (N, C), for the latter.
    """
    if normalisation == "probabilities":
        assert probabilities is not None
        mass = probabilities.masked_fill(~kept, 0)
        return mass / mass.sum(dim=0).clamp_min(torch.finfo(mass.dtype).tiny)
    mass = (scale * logits).masked_fill(~kept, -torch.inf).softmax(dim=0)
    return mass.masked_fill(~kept, 0)  # nan where a whole column is -inf


def winners(mass: Tensor, top_k: int) -> Tensor:
    """The queries (K,), ascending, that are among the ``top_k`` heaviest at some patch; those without mass are not."""
    values, queries = mass.topk(min(top_k, mass.shape[1]), dim=1)
    return queries[values > 0].unique()


def rescale(maps: Tensor) -> Tensor:
    """Bring (N, C) to [0, 1], over all patches and all queries that are kept together; zeros if it is constant.

    One scale for all queries leaves their order alone. But its ends belong to the most extreme query, so that a mean of
    two maps depends on which queries are there.
    """
    low, high = maps.aminmax()
    return (maps - low) / (high - low).clamp_min(torch.finfo(maps.dtype).tiny)
