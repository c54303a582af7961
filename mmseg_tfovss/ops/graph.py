"""Patch graphs: a frozen network's self-attention, averaged over heads and layers, on another grid of patches.

    A = mean over layers l of resample(mean over heads h of softmax(Q^{l,h} K^{l,h}^T / sqrt(d))),   rows sum to 1

Only the sum is kept: one head's map at a time is added to its layer, one layer's map to the graph.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.ops.canvas import Size
from mmseg_tfovss.ops.constants import home_of_doubles

COSTS = ("neg_log", "one_minus", "attention", "raw")
DISTANCES = COSTS[:2]  # with the others, near patches are dear
_SMALLEST_AFFINITY = 1e-6  # of the largest


def mean_attention(query: Tensor, key: Tensor, skip: int = 0) -> Tensor:
    """Attention averaged over heads, one head in memory at a time.

    Args:
        query: (B, heads, skip + n, d).
        key: (B, heads, skip + n, d).
        skip: leading tokens that are no patches (class token, registers); they are left out, as queries and as keys.

    Returns:
        (B, n, n) float32; rows sum to 1.
    """
    query, key = query[:, :, skip:], key[:, :, skip:]
    batch, heads, count, channels = query.shape
    total = query.new_zeros((batch, count, count), dtype=torch.float32)
    for head in range(heads):
        scores = (query[:, head] * channels**-0.5) @ key[:, head].transpose(1, 2)
        total += scores.softmax(dim=-1, dtype=torch.float32)
    return total.div_(heads)


def resample_graph(attention: Tensor, source: Size, target: Size) -> Tensor:
    """Bring a graph to another grid, on both axes: bilinear, antialiased where it shrinks, rows renormalised to 1.

    Args:
        attention: (B, n, n) with n = h w patches of ``source``, float32.
        source: h and w.
        target: h' and w'.

    Returns:
        (B, N, N) with N = h' w'; rows sum to 1.
    """
    if tuple(source) != tuple(target):
        rows, columns = (
            _resampling_matrix(source[axis], target[axis], attention.device).to(attention) for axis in (0, 1)
        )
        for _ in range(2):  # keys, then queries
            maps = rows @ attention.unflatten(2, source) @ columns.T  # (B, queries, h', w')
            attention = maps.flatten(2).transpose(1, 2)
    return attention / attention.sum(dim=-1, keepdim=True).clamp_min(torch.finfo(attention.dtype).tiny)


class GraphMean:
    """Running mean of attention maps on one grid of patches.

    Args:
        grid: rows and columns (h, w) of the graph's patches.
    """

    def __init__(self, grid: Size) -> None:
        self.grid, self.count = grid, 0
        self._total: Tensor | None = None

    def add(self, attention: Tensor, source: Size) -> None:
        """Take in the map (B, n, n) of one layer, whose patches lie on the grid ``source``."""
        resampled = resample_graph(attention, source, self.grid)
        self._total = resampled if self._total is None else self._total.add_(resampled)
        self.count += 1

    def result(self) -> Tensor:
        """The graph (B, N, N), rows sum to 1.

        Raises:
            ValueError: nothing was added.
        """
        if self._total is None:
            raise ValueError("No attention map was taken: choose at least one layer or block that has self-attention.")
        return self._total / self.count


def without_self_attention(graph: Tensor) -> Tensor:
    """The graph with the largest affinity that a patch has to another one in place of that to itself.

    Args:
        graph: A, (..., N, N), >= 0.

    Returns:
        (..., N, N), a copy; a single patch keeps its own.
    """
    if graph.shape[-1] == 1:
        return graph.clone()
    own = torch.eye(graph.shape[-1], dtype=torch.bool, device=graph.device)
    largest = graph.masked_fill(own, 0).amax(dim=-1, keepdim=True)
    return torch.where(own, largest, graph)


def transport_cost(graph: Tensor, kind: str) -> Tensor:
    """What it costs to move mass between two patches.

    Args:
        graph: A, (..., N, N), >= 0.
        kind: ``raw``: A as it is, to the letter of DSLO's Eq. 5; ``attention``: A / max A; in both, near patches are
            dear. ``one_minus``: 1 - A / max A; ``neg_log``: -log A, from 0 at max A to 1 at the smallest affinity
            (affinities below a millionth of max A count as that).

    Returns:
        (..., N, N) of the graph's dtype, in [0, 1] but for ``raw``.

    Raises:
        ValueError: an unknown kind.
    """
    if kind not in COSTS:
        raise ValueError(f"cost must be one of {list(COSTS)}, but got {kind!r}.")
    if kind == "raw":
        return graph
    relative = graph / graph.amax(dim=(-2, -1), keepdim=True).clamp_min(torch.finfo(graph.dtype).tiny)
    if kind == "attention":
        return relative
    if kind == "one_minus":
        return relative.neg_().add_(1)
    distance = relative.clamp_min_(_SMALLEST_AFFINITY).log_().neg_()
    return distance / distance.amax(dim=(-2, -1), keepdim=True).clamp_min(torch.finfo(graph.dtype).tiny)


def fiedler_vector(graph: Tensor) -> Tensor:
    """Relaxed normalised cut: y of (D - W) y = lambda D y with the second smallest lambda, W the symmetric part.

    Args:
        graph: (B, N, N), >= 0, N > 1.

    Returns:
        (B, N) float32 at least; the sign is such that the entry of largest size is positive.
    """
    graph = graph.to(torch.promote_types(graph.dtype, torch.float32))
    weights = (graph + graph.transpose(1, 2)) / 2
    scale = weights.sum(dim=-1).clamp_min(torch.finfo(weights.dtype).tiny).rsqrt()  # D^(-1/2)
    # D^(-1/2) W D^(-1/2) = I - the normalised Laplacian: its second largest eigenvalue.
    vector = torch.linalg.eigh(scale[:, :, None] * weights * scale[:, None])[1][..., -2] * scale
    largest = vector.gather(1, vector.abs().argmax(dim=1, keepdim=True))
    return vector * largest.sign()


@lru_cache(maxsize=64)
def _resampling_matrix(source: int, target: int, device: torch.device) -> Tensor:
    """(target, source) weights of bilinear resampling along one axis, antialiased; rows sum to 1."""
    # Along the last axis: torch 2.13 resamples wrongly along the other one where images are one pixel wide.
    identity = torch.eye(source, dtype=torch.float64, device=home_of_doubles(device))[None, :, None]
    shape = (1, target)
    return F.interpolate(identity, size=shape, mode="bilinear", align_corners=False, antialias=True)[0, :, 0].T
