"""Regions from clusters of patches, and one class for each region (CLIPtrase, ECCV 2024, arXiv:2407.08268)."""

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.cluster import DBSCAN
from torch import Tensor

from mmseg_tfovss.ops.labels import label_pixels
from mmseg_tfovss.ops.windows import DenseLogits, Size, interpolation_matrix

NOISE = -1
_MEDIAN_ELEMENTS = 1 << 25


def cluster_rows(rows: np.ndarray, eps: float, min_samples: int) -> np.ndarray:
    """DBSCAN of vectors under the Euclidean distance.

    Args:
        rows: (N, D) float32.
        eps: radius of a neighbourhood, > 0.
        min_samples: vectors, itself included, that make the centre of a neighbourhood a core point, >= 1.

    Returns:
        (N,) cluster ids 0 .. K - 1, and -1 for noise.
    """
    if not len(rows):
        return np.empty(0, np.int64)
    return DBSCAN(eps=eps, min_samples=min_samples).fit_predict(rows)


def prototypes(rows: Tensor, clusters: Tensor) -> Tensor:
    """Mean of the rows (N, D) of each cluster: (K, D). Noise belongs to none (Eq. 5)."""
    count = int(clusters.max()) + 1 if clusters.numel() else 0
    members = (clusters[None] == torch.arange(count, device=clusters.device)[:, None]).to(rows.dtype)  # (K, N)
    return members @ rows / members.sum(dim=1, keepdim=True)


def median_filter(maps: Tensor, size: int) -> Tensor:
    """Median in windows of ``size`` x ``size`` (odd) of maps (K, H, W), mirrored at the border (edge pixels twice)."""
    margin = size // 2
    padded = maps
    for dim in (1, 2):
        length = maps.shape[dim]
        index = torch.arange(-margin, length + margin, device=maps.device) % (2 * length)
        padded = padded.index_select(dim, torch.minimum(index, 2 * length - 1 - index))
    windows = F.unfold(padded[:, None], size)  # (K, size * size, H * W)
    return windows.median(dim=1).values.view_as(maps)


def smooth(maps: Tensor, ratio: int, size: int) -> Tensor:
    """Prototype maps (K, h, w) -> (K, ratio h, ratio w): bilinear, then a median filter."""
    larger = F.interpolate(maps[None], scale_factor=ratio, mode="bilinear", align_corners=False)[0]
    at_once = max(1, _MEDIAN_ELEMENTS // (larger[0].numel() * size**2))  # bounds the memory of the windows
    return torch.cat([median_filter(part, size) for part in larger.split(at_once)])


def region_map(maps: Tensor, size: Size, ratio: int, median: int) -> Tensor:
    """Region ids (H, W) of an image: at each pixel, the prototype map (K, h, w) that is highest there once smoothed.

    Args:
        maps: prototype maps on the patch grid.
        size: H and W of the image.
        ratio: upsampling before the median filter; from there to ``size`` bilinear.
        median: side of the median filter.
    """
    smoothed = smooth(maps, ratio, median)
    rows, columns = (
        interpolation_matrix(source, target).to(smoothed)
        for source, target in zip(smoothed.shape[1:], size, strict=True)
    )
    at_full_size = DenseLogits(smoothed, rows, columns, smoothed)
    return label_pixels(at_full_size, torch.arange(len(maps), device=maps.device), logit_scale=1.0)


def majority(labels: Tensor, regions: Tensor, num_classes: int) -> Tensor:
    """Give every region the class that most of its pixels have; the smallest id among equals.

    Args:
        labels: (H, W) class ids.
        regions: (H, W) region ids from 0 on.
        num_classes: C.

    Returns:
        (H, W) class ids.
    """
    count = int(regions.max()) + 1
    votes = torch.bincount((regions * num_classes + labels).flatten(), minlength=count * num_classes)
    # The order of equal maxima is not defined on a GPU: make the ids part of the number.
    order = torch.arange(num_classes - 1, -1, -1, device=labels.device)
    return (votes.view(count, num_classes) * num_classes + order).argmax(dim=1)[regions]


def region_logits(logits: DenseLogits, regions: Tensor) -> Tensor:
    """Mean logits (Q, K) of the pixels of each region (H, W), without a tensor of queries x pixels."""
    count = int(regions.max()) + 1
    members = (regions[None] == torch.arange(count, device=regions.device)[:, None, None]).float()  # (K, H, W)
    shares = logits.rows.T @ members @ logits.columns / members.sum(dim=(1, 2)).clamp_min(1)[:, None, None]  # (K, a, b)
    return logits.patches.flatten(1) @ shares.flatten(1).T
