"""From logits to masses over patches and back: what DSLO does before and after it solves for the discrepancy.

Logits and masses are (N, C) here: N patches, C queries (or classes).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mmseg_tfovss.checks import check_option, check_range

NORMALISATIONS = ("softmax", "probabilities")


def confidences(logits: Tensor, query_class: Tensor, scale: float, num_classes: int | None = None) -> Tensor:
    """Probability of the class of every query, at every patch.

    Synonyms would halve each other's probability; so what counts for each is that of their class.

    Args:
        logits: (N, C), cosines.
        query_class: (C,) class of each query.
        scale: factor on the logits before the softmax over queries.
        num_classes: more than any class id; ``None``: read from ``query_class``, for which a GPU must wait.

    Returns:
        (N, C), in [0, 1]; equal for queries of one class.
    """
    probabilities = (scale * logits).softmax(dim=1)
    classes = int(query_class.max()) + 1 if num_classes is None else num_classes
    per_class = probabilities.new_zeros(len(logits), classes)
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


def winners(mass: Tensor, confidence: Tensor, top_k: int) -> Tensor:
    """The queries that early rejection keeps: those among the ``top_k`` heaviest at some patch.

    Queries tie at a patch that is the only one that each has kept: all of their mass is there. Then the most confident
    comes first.

    Args:
        mass: f, (N, C).
        confidence: (N, C), see :func:`confidences`.
        top_k: how many queries win at a patch; 0: all of them.

    Returns:
        (K,), ascending; a query without mass is never among them.
    """
    has_mass = mass > 0
    if not 0 < top_k < mass.shape[1]:
        return has_mass.any(dim=0).nonzero().flatten()
    left, won = mass.masked_fill(~has_mass, -1), torch.zeros_like(has_mass)
    for _ in range(top_k):
        heaviest = left == left.amax(dim=1, keepdim=True)
        first = confidence.masked_fill(~heaviest, -1).argmax(dim=1, keepdim=True)  # (N, 1)
        won.scatter_(1, first, value=True)
        left.scatter_(1, first, -1)
    return (won & has_mass).any(dim=0).nonzero().flatten()


def rescale(maps: Tensor) -> Tensor:
    """Bring (N, C) to [0, 1], over all patches and all queries that are kept together; zeros if it is constant.

    One scale for all queries leaves their order alone. But its ends belong to the most extreme query, so that a mean of
    two maps depends on which queries are there.
    """
    low, high = maps.aminmax()
    return (maps - low) / (high - low).clamp_min(torch.finfo(maps.dtype).tiny)


@dataclass(frozen=True)
class MassSettings:
    """How logits become masses, and which queries are solved for.

    Attributes:
        theta: smallest class probability of a patch that counts; 0 switches noise suppression off. In [0, 1].
        nms_scale: logit scale of that probability.
        mass_scale: logit scale of the softmax over patches.
        normalisation: ``softmax`` over patches of the logits, or ``probabilities`` divided by their sum.
        top_k: a query is solved for if it is among this many heaviest ones at some patch; 0: all are.
    """

    theta: float = 0.5
    nms_scale: float = 100.0
    mass_scale: float = 20.0
    normalisation: str = "softmax"
    top_k: int = 1

    def __post_init__(self) -> None:
        check_range("model.theta", self.theta, 0, 1)
        check_range("model.nms_scale", self.nms_scale, 1e-3, 1e6)
        check_range("model.mass_scale", self.mass_scale, 1e-3, 1e6)
        check_option("model.normalisation", self.normalisation, NORMALISATIONS)
        check_range("model.top_k", self.top_k, 0, math.inf, whole=True)

    def masses(
        self, logits: Tensor, query_class: Tensor, num_classes: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Noise suppression, Eq. 2 and early rejection.

        Args:
            logits: (N, Q), cosines.
            query_class: (Q,).
            num_classes: more than any class id; ``None``: read from ``query_class``.

        Returns:
            Masses f (N, K), the queries (K,) that they belong to, and their confidences (N, K). Where no patch is
            confident, all count.
        """
        confident = confidences(logits, query_class, self.nms_scale, num_classes)
        kept = confident >= self.theta
        kept = kept | ~kept.any()
        mass = normalise(logits, kept, self.mass_scale, self.normalisation, confident)
        queries = winners(mass, confident, self.top_k)
        return mass[:, queries], queries, confident[:, queries]
