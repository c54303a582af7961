"""One image under DSLO's hypothesis: which class each patch gets from three discrepancies, two of them with the truth.

With f^c the normalised logits of a class, g^c its ground truth and u = 1 / N, all of them distributions over N patches:

    logits -> uniform         f log(f / u)     largest wins: DSLO's ``kl``
    logits -> ground truth    f log(f / g')    smallest wins, where f > 0;   g' = (1 - s) g + s u
    ground truth -> uniform   g log(g / u)     largest wins: what the patch grid lets anyone reach

The paper's formulas say no more than "an operation on the divergence". Largest for the second as well would prefer
classes where they are not: on 24 pocket scenes it gives 0 to 28 mIoU (s up to 0.5), smallest 32 to 65.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.ops.canvas import Size
from mmseg_tfovss.solvers import kl_discrepancy

LOGITS, LOGITS_PRESENT = "logits_to_uniform", "logits_to_uniform_present"
TRUTH, UPPER_BOUND = "logits_to_ground_truth", "ground_truth_to_uniform"
DISCREPANCIES = {
    LOGITS: "logits -> uniform",
    LOGITS_PRESENT: "logits -> uniform, classes of the image",
    TRUTH: "logits -> ground truth, classes of the image",
    UPPER_BOUND: "ground truth -> uniform",
}
# Beside them: the logits themselves, and what they would score if each connected region had the label of most of it.
# Where that is hardly more, there is no room in which discrepancies could differ.
PLAIN, HEADROOM = "logits", "logits_in_true_regions"
SCENARIOS = {PLAIN: "logits", HEADROOM: "logits, majority of each true region", **DISCREPANCIES}
MEASURES = ("eta_squared", "within", "difference")


@dataclass(frozen=True)
class ClassScores:
    """Scores of which the largest wins at a patch.

    Attributes:
        scores: (N, K).
        classes: (K,) class id of each column; synonyms share one.
    """

    scores: Tensor
    classes: Tensor


@dataclass(frozen=True)
class GroundTruth:
    """An annotation on the patch grid.

    Attributes:
        shares: (N, P), share of each patch's pixels that are labelled so; pixels that do not count are nobody's.
        classes: (P,) ids of the classes that occur, ascending.
    """

    shares: Tensor
    classes: Tensor

    @property
    def mass(self) -> Tensor:
        """The distribution g of every class, (N, P); columns sum to 1."""
        return self.shares / self.shares.sum(dim=0)

    @property
    def owner(self) -> Tensor:
        """The column that most pixels of a patch belong to, (N,); -1 where none is labelled."""
        most, owner = self.shares.max(dim=1)
        return torch.where(most > 0, owner, -1)


@dataclass(frozen=True)
class Consistency:
    """Whether the discrepancy of a class tells its patches from others.

    Classes that own all patches, or none, do not count. Every map is brought to [0, 1]; that of a rejected class is
    constant, and gives zeros.

    Attributes:
        classes: (P',) ids of the classes that count.
        eta_squared: (P',), variance between the two groups of patches / variance of all; 0 .. 1.
        within: (P',), standard deviation among the class's own patches.
        difference: (P',), mean over its own patches less that over the others.
    """

    classes: Tensor
    eta_squared: Tensor
    within: Tensor
    difference: Tensor


def patch_ground_truth(labels: Tensor, valid: Tensor, grid: Size) -> GroundTruth | None:
    """Bring an annotation to the patch grid.

    Args:
        labels: class ids (H, W).
        valid: (H, W) bool, whether a pixel counts.
        grid: h and w of the patches, N = h w.

    Returns:
        Its shares; ``None`` if no pixel counts.
    """
    classes = labels[valid].unique()
    if not len(classes):
        return None
    found = [F.adaptive_avg_pool2d(((labels == c) & valid)[None].float(), grid).flatten() for c in classes]
    return GroundTruth(torch.stack(found, dim=1), classes)


def score_scenarios(mass: Tensor, classes: Tensor, truth: GroundTruth, smoothing: float) -> dict[str, ClassScores]:
    """The scores of every scenario.

    Args:
        mass: f, (N, K), of the queries that were not rejected.
        classes: (K,) class of each.
        truth: of the same patches.
        smoothing: s above, in (0, 1]. Without it, a patch outside of a class would be infinitely far from its ground
            truth, whatever the logits say; at 1 there is no ground truth left.

    Returns:
        By the names in :data:`SCENARIOS`.
    """
    kept = torch.isin(classes, truth.classes)
    if bool(kept.any()):
        present, own = mass[:, kept], classes[kept]
    else:  # all classes of the image were rejected: nothing is known of any
        present, own = torch.zeros_like(truth.shares), truth.classes
    target = truth.mass[:, torch.searchsorted(truth.classes, own)]
    target = (1 - smoothing) * target + smoothing / len(target)
    terms = torch.xlogy(present, present / target)
    # Where f = 0 the term is 0, near the truth and far from it. Such a class counts as the farthest that there can be
    # instead: f = 1 where g' = s / N.
    nearness = torch.where(present > 0, -terms, -math.log(len(target) / smoothing))
    return {
        LOGITS: ClassScores(kl_discrepancy(mass), classes),
        LOGITS_PRESENT: ClassScores(kl_discrepancy(present), own),
        TRUTH: ClassScores(nearness, own),
        UPPER_BOUND: ClassScores(kl_discrepancy(truth.mass), truth.classes),
    }


def measure_consistency(found: ClassScores, truth: GroundTruth) -> Consistency:
    """Compare the discrepancy on the patches of each class with that on the others.

    Args:
        found: discrepancies, (N, K); of synonyms the largest counts.
        truth: of the same patches; those without any label do not count.
    """
    labelled = truth.owner >= 0
    own = truth.owner[labelled, None] == torch.arange(len(truth.classes), device=labelled.device)  # (n, P)
    counted = own.any(dim=0) & ~own.all(dim=0)
    own, classes = own[:, counted], truth.classes[counted]
    maps = [found.scores[labelled][:, found.classes == c] for c in classes]
    rows = [part.amax(dim=1) if part.shape[1] else part.new_zeros(len(part)) for part in maps]
    if not rows:
        nothing = found.scores.new_zeros(0)
        return Consistency(classes, nothing, nothing, nothing)
    values = torch.stack(rows, dim=1).double()
    low, high = values.amin(dim=0), values.amax(dim=0)
    values = (values - low) / (high - low).clamp_min(torch.finfo(torch.float32).tiny)
    count = own.sum(dim=0)
    inside, outside = _mean(values, own), _mean(values, ~own)
    between = count * (len(values) - count) * (inside - outside).square() / len(values)  # sum of squares
    total = (values - values.mean(dim=0)).square().sum(dim=0)
    return Consistency(
        classes=classes,
        eta_squared=between / total.clamp_min(torch.finfo(torch.float32).tiny),
        within=_mean((values - inside).square(), own).sqrt(),
        difference=inside - outside,
    )


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of the chosen values of every column."""
    return (values * chosen).sum(dim=0) / chosen.sum(dim=0)
