"""Regions of an image, given from outside, on a grid of patches (CorrCLIP, ICCV 2025, arXiv:2411.10086).

A map of regions holds an id at every place, and one of the ids may stand for what no region covers.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.ops.canvas import Size

UNCOVERED = 0  # number of what no region covers, once regions are merged


def resize_ids(ids: Tensor, size: Size) -> Tensor:
    """Nearest resampling of ids (..., H, W), as torch's ``nearest`` does it, without a detour over floats."""
    for axis in (-2, -1):
        places = torch.arange(ids.shape[axis], dtype=torch.float32, device=ids.device)[None, None]
        chosen = F.interpolate(places, size=size[axis], mode="nearest")[0, 0].long()
        ids = ids.index_select(axis, chosen)
    return ids


def merge_regions(features: Tensor, ids: Tensor, uncovered: int, eps: float, min_samples: int = 1) -> Tensor:
    """Join the regions of one image whose mean features are alike: DBSCAN, on the CPU.

    The distance of two regions is the largest cosine of any two, their own included, less theirs.

    Args:
        features: (N, D) of the patches, of length 1.
        ids: (N,) region ids.
        uncovered: the id of what is no region.
        eps: DBSCAN's radius.
        min_samples: regions, itself included, that make one a core; with 1, groups that are connected by ``eps``. A
            region that DBSCAN calls noise stays as it is.

    Returns:
        (N,) numbers: 0 where ``uncovered``, the merged regions from 1 on.
    """
    known, regions = torch.unique(ids, return_inverse=True)
    members = F.one_hot(regions, len(known)).to(features.dtype)  # (N, R)
    chosen = known != uncovered
    means = F.normalize((members.T @ features)[chosen] / members.sum(dim=0)[chosen, None], dim=1)  # (r, D)
    numbers = torch.full_like(known, UNCOVERED)
    numbers[chosen] = 1 + _clusters(means @ means.T, eps, min_samples)
    return numbers[regions]


def _clusters(cosines: Tensor, eps: float, min_samples: int) -> Tensor:
    """Cluster numbers (r,) from 0 on, of cosines (r, r)."""
    if len(cosines) < 2:
        return cosines.new_zeros(len(cosines), dtype=torch.int64)
    from sklearn.cluster import DBSCAN  # its import takes most of a second, which other methods need not

    distances = (cosines.max() - cosines).float().cpu().numpy()
    found = torch.from_numpy(DBSCAN(eps=eps, min_samples=min_samples, metric="precomputed").fit_predict(distances))
    noise = found < 0
    found[noise] = found.max() + 1 + torch.arange(int(noise.sum()))
    return found.to(cosines.device, torch.int64)


def attend_in_scope(similarity: Tensor, regions: Tensor, sharpness: float) -> Tensor:
    """Attention within regions: softmax(sharpness S) over the pairs in scope.

    Args:
        similarity: S (N, N), in which every patch is as alike to itself as to any other.
        regions: (N,) numbers of merged regions. Two patches of one are in each other's scope. If one of two is of no
            region, they are where S is above its mean over all pairs. A patch always is in its own.
        sharpness: > 0.

    Returns:
        (N, N), rows sum to 1.
    """
    free = regions == UNCOVERED
    scope = torch.where(free[:, None] | free, similarity > similarity.mean(), regions[:, None] == regions)
    scope.fill_diagonal_(fill_value=True)
    return (sharpness * similarity).masked_fill_(~scope, -torch.inf).softmax(dim=-1)
