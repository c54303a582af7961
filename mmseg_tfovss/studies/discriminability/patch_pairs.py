"""Can patches of one class be told from others by their cosine? The pairs, their labels, and the ROC-AUC.

Rules. A patch has the class of most of its pixels, at the size that the network sees (labels resized to the nearest);
of equal numbers the lowest class wins, and any class wins over "ignored". A patch of which most pixels are ignored has
no class, and no pair. Labels that are no class of the dataset are ignored. Pairs are unordered, i < j.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.ops.roc import roc_auc

IGNORED = -1
_ELEMENTS = 1 << 25  # cosines held at a time


@dataclass(frozen=True)
class PatchPairs:
    """Pairs of patches of one image.

    Attributes:
        first: (P,) index of one patch.
        second: (P,) index of the other.
        same: (P,) bool, whether both have the same class.
    """

    first: Tensor
    second: Tensor
    same: Tensor

    @property
    def usable(self) -> bool:
        """Whether there are pairs of both kinds, without which there is no AUC."""
        return bool(self.same.any()) and not bool(self.same.all())


def find_patch_classes(labels: Tensor, size: tuple[int, int], patch_size: int, classes: int) -> Tensor:
    """The class of each patch.

    Args:
        labels: (H, W) ids on the CPU, at any size.
        size: height and width of the image that the network sees; pixels beyond the last whole patch do not count.
        patch_size: pixels of a patch's side.
        classes: ids from 0 to classes - 1 count.

    Returns:
        (h w,) int64, :data:`IGNORED` for a patch without a class.
    """
    known = torch.where((labels >= 0) & (labels < classes), labels, classes).double()
    seen = F.interpolate(known[None, None], size=size, mode="nearest-exact")[0, 0].long()
    rows, columns = (pixels // patch_size for pixels in size)
    whole = seen[: rows * patch_size, : columns * patch_size]
    patches = whole.unfold(0, patch_size, patch_size).unfold(1, patch_size, patch_size).flatten(2).flatten(0, 1)
    counts = torch.zeros(rows * columns, classes + 1, dtype=torch.int32)
    counts.scatter_add_(1, patches, torch.ones_like(patches, dtype=torch.int32))
    found = counts.argmax(dim=1)  # the first of equal ones, and "ignored" is the last
    return torch.where(found == classes, IGNORED, found)


def find_pairs(classes: Tensor, sampled: int | None = None, seed: tuple[int, ...] = ()) -> PatchPairs:
    """All pairs of patches that have a class, or a random part of them.

    Args:
        classes: (N,) of :func:`find_patch_classes`.
        sampled: draw this many different pairs where there are more; ``None``: take all.
        seed: of the draw.
    """
    labelled = (classes != IGNORED).nonzero().flatten()
    first, second = torch.triu_indices(len(labelled), len(labelled), offset=1, device=classes.device)
    if sampled is not None and sampled < len(first):
        drawn = torch.from_numpy(np.random.default_rng(seed).choice(len(first), sampled, replace=False))
        first, second = first[drawn.to(first.device)], second[drawn.to(first.device)]
    first, second = labelled[first], labelled[second]
    return PatchPairs(first, second, classes[first] == classes[second])


def pair_auc(features: Tensor, pairs: PatchPairs) -> Tensor:
    """ROC-AUC of "same class" by the cosine of two patches.

    Args:
        features: (R, N, C), R kinds of features of the same N patches.
        pairs: :attr:`~PatchPairs.usable` ones.

    Returns:
        (R,) float64.
    """
    step = max(1, _ELEMENTS // features.shape[1] ** 2)
    aucs = []
    for part in F.normalize(features.float(), dim=-1).split(step):
        cosines = (part @ part.transpose(-1, -2)).flatten(1)  # (r, N N)
        aucs.append(roc_auc(cosines[:, pairs.first * features.shape[1] + pairs.second], pairs.same))
    return torch.cat(aucs)
