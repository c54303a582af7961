"""Which classes an image shows, and texts and logits that heed it (CASS, arXiv:2411.17150; RF-CLIP, arXiv:2511.16170).

    clusters of texts   linkage of the Q text features under the cosine distance, cut at a height t
    text adjustment     of every cluster the text i with the largest presence g_i; with m = Norm(mean of the patches
                        most similar to T_i):   T'_i = Norm((1 - alpha) T_i + alpha m)
    presence prior      logits = (1 - gamma) F T'^T + gamma g, with the same g at every patch

All vectors have length 1. ``g`` are the cosines of an image's vector and the texts.
"""

import torch
import torch.nn.functional as F
from scipy.cluster.hierarchy import fcluster, linkage
from torch import Tensor

from mmseg_tfovss.ops.slices import parts

LINKAGES = ("complete", "ward")
_ELEMENTS = 1 << 24  # values held at a time


def cluster_texts(texts: Tensor, height: float, method: str) -> Tensor:
    """Agglomerative clusters of texts under the cosine distance, on the CPU.

    Args:
        texts: (Q, D), of length 1.
        height: where the tree is cut: members of a cluster were joined at no greater height.
        method: ``complete`` (largest distance of two members) or ``ward``, whose formula CASS uses on cosine distances
            as they are.

    Returns:
        (Q,) cluster ids 0 .. K - 1, on the texts' device.
    """
    if len(texts) == 1:
        return torch.zeros(1, dtype=torch.int64, device=texts.device)
    vectors = texts.detach().cpu().double()
    vectors = vectors / vectors.norm(dim=1, keepdim=True)
    tree = linkage(_pair_distances(vectors).numpy(), method=method)
    ids = fcluster(tree, height, criterion="distance") - 1
    return torch.from_numpy(ids).to(texts.device, torch.int64)


def _pair_distances(vectors: Tensor) -> Tensor:
    """Cosine distances (Q (Q - 1) / 2,) of all pairs of unit vectors (Q, D), row by row above the diagonal."""
    count = len(vectors)
    found = vectors.new_empty(count * (count - 1) // 2)
    filled = 0
    for rows in parts(count, _ELEMENTS // count):
        distances = (1 - vectors[rows] @ vectors.T).clamp_min_(0)
        for row, own in enumerate(distances, start=rows.start + 1):
            found[filled : filled + count - row] = own[row:]
            filled += count - row
    return found


def most_present(presence: Tensor, clusters: Tensor, count: int | None = None) -> Tensor:
    """Of every cluster the query with the largest presence, the first of equals: (B, Q) and (Q,) ids -> (B, K).

    ``count`` is K; ``None``: read from the ids, for which a GPU must wait.
    """
    order = presence.argsort(dim=1, descending=True, stable=True)  # (B, Q) queries
    ranks = order.argsort(dim=1)  # (B, Q) their places
    count = int(clusters.max()) + 1 if count is None else count
    best = ranks.new_full((len(presence), count), presence.shape[1])
    best = best.scatter_reduce(1, clusters.expand_as(ranks), ranks, "amin")
    return order.gather(1, best)


def adjust_texts(
    texts: Tensor,
    patches: Tensor,
    presence: Tensor,
    clusters: Tensor,
    alpha: float,
    nearest: int = 2,
    count: int | None = None,
) -> Tensor:
    """Move every cluster's most present text towards the patches that are most similar to it.

    Args:
        texts: (Q, D), of length 1.
        patches: (B, N, D), of length 1.
        presence: g, (B, Q).
        clusters: (Q,) ids.
        alpha: how far, in [0, 1].
        nearest: patches that are averaged; all of them where there are fewer.
        count: number of clusters, see :func:`most_present`.

    Returns:
        (B, Q, D), of length 1.
    """
    adjusted = texts.repeat(len(patches), 1, 1)
    nearest = min(nearest, patches.shape[1])
    batch = torch.arange(len(patches), device=patches.device)[:, None]
    step = max(1, _ELEMENTS // (len(patches) * nearest * texts.shape[1]))
    for chosen in most_present(presence, clusters, count).split(step, dim=1):  # (B, k)
        moved = texts[chosen]  # (B, k, D)
        index = (moved @ patches.transpose(1, 2)).topk(nearest, dim=2).indices  # (B, k, nearest)
        mean = F.normalize(patches[batch[..., None], index].mean(dim=2), dim=-1)  # (B, k, D)
        adjusted[batch, chosen] = F.normalize((1 - alpha) * moved + alpha * mean, dim=-1)
    return adjusted


def mix_presence(logits: Tensor, presence: Tensor, gamma: float) -> Tensor:
    """(1 - gamma) logits + gamma g: (B, Q, h, w) and (B, Q) -> (B, Q, h, w)."""
    return (1 - gamma) * logits + gamma * presence[..., None, None]
