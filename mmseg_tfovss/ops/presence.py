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
from scipy.spatial.distance import squareform
from torch import Tensor

LINKAGES = ("complete", "ward")


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
    distances = (1 - vectors @ vectors.T).clamp_min(0).fill_diagonal_(0)
    tree = linkage(squareform(distances.numpy(), checks=False), method=method)
    ids = fcluster(tree, height, criterion="distance") - 1
    return torch.from_numpy(ids).to(texts.device, torch.int64)


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
    chosen = most_present(presence, clusters, count)  # (B, K)
    moved = texts[chosen]  # (B, K, D)
    nearest = min(nearest, patches.shape[1])
    index = (moved @ patches.transpose(1, 2)).topk(nearest, dim=2).indices  # (B, K, nearest)
    batch = torch.arange(len(patches), device=patches.device)[:, None, None]
    mean = F.normalize(patches[batch, index].mean(dim=2), dim=-1)  # (B, K, D)
    moved = F.normalize((1 - alpha) * moved + alpha * mean, dim=-1)
    return texts.repeat(len(patches), 1, 1).scatter(1, chosen[..., None].expand_as(moved), moved)


def mix_presence(logits: Tensor, presence: Tensor, gamma: float) -> Tensor:
    """(1 - gamma) logits + gamma g: (B, Q, h, w) and (B, Q) -> (B, Q, h, w)."""
    return (1 - gamma) * logits + gamma * presence[..., None, None]
