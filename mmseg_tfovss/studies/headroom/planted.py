"""Logits and graphs of a chosen quality, planted on the true classes of an image's patches.

    logits   L_ic = base + signal [c = y_i] + bias_c + noise n_ic
    graph    A_ij ~ exp(sharpness <x_i, x_j> - |i - j| / reach),   x_i = the direction of e_{y_i} + level n_i / sqrt(D)

Both n have unit variance and are partly smooth over the grid, as errors of networks are: neighbours err together, and
no averaging over them undoes it. What a row of A holds is a softmax: a patch attends to itself the most, to patches
like it, and to near ones. ``level`` is what decides how good a graph is, and is found by bisection.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from mmseg_tfovss.ops.roc import roc_auc

_FIELDS, _CLASSES = 0, 1  # what is drawn: of one image, or of all of them
_LOGITS, _GRAPH = 0, 1  # for what
_SMOOTH_SHARE = 0.5  # of the noise's variance
_SMOOTH_WIDTH = 1.5  # patches, standard deviation of the Gaussian
_WORST_LEVEL = 8.0  # beyond, nothing is left of the classes
_STEPS = 20  # of the bisection
_NEAR = 0.001  # AUC that the bisection stops at
PLANTABLE = (0.7, 0.98)  # AUC that noise reaches in every scene: nearness alone gives 0.6 to 0.7, clean features 0.98
CLOSE = 0.01  # AUC by which a planted graph may miss what was asked for


@dataclass(frozen=True)
class PlantedLogits:
    """What planted cosines are like.

    Attributes:
        noise: standard deviation of what is wrong at a patch.
        signal: by how much the true class's lie above the others'.
        base: cosine of a wrong class.
        bias: standard deviation of what a class has more or less than others in all images.
    """

    noise: float = 0.0135
    signal: float = 0.025
    base: float = 0.2
    bias: float = 0.005


@dataclass(frozen=True)
class PlantedAttention:
    """What planted attention is like.

    Attributes:
        channels: D, of a patch's features.
        sharpness: factor on their cosines in the exponent.
        reach: distance, in patches, over which attention falls by a factor e.
    """

    channels: int = 32
    sharpness: float = 5.0
    reach: float = 8.0


@dataclass(frozen=True)
class PlantedGraph:
    """A graph and how it was made.

    Attributes:
        graph: A, (N, N) float32; rows sum to 1.
        auc: of :func:`graph_auc`.
        level: of the noise in its features.
    """

    graph: Tensor
    auc: float
    level: float


def plant_logits(truth: Tensor, side: int, classes: int, seed: int, number: int, like: PlantedLogits) -> Tensor:
    """Cosines (N, C), float32, that know the true class of every patch, but not well.

    Args:
        truth: class of each patch (N,), 0 .. C - 1, row by row.
        side: rows of the grid.
        classes: C.
        seed: of all draws.
        number: of the image; the bias of the classes is that of all images.
        like: how well they know it.
    """
    noise = _noise_field(len(truth), side, classes, (seed, _FIELDS, number, _LOGITS))
    bias = _normal((classes,), (seed, _CLASSES, _LOGITS))
    return like.base + like.signal * F.one_hot(truth, classes) + like.bias * bias + like.noise * noise


def plant_graph(
    truth: Tensor, side: int, classes: int, seed: int, number: int, auc: float, like: PlantedAttention | None = None
) -> PlantedGraph:
    """Attention whose ROC-AUC of "same class" is a chosen one, by bisection over the noise of its features.

    Graphs of one image that differ in their AUC alone have the same noise, at different levels.

    Args:
        truth: class of each patch (N,), 0 .. C - 1, row by row; two classes or more.
        side: rows of the grid.
        classes: C.
        seed: of all draws.
        number: of the image; the directions of the classes are those of all images.
        auc: what :func:`graph_auc` shall be, within :data:`CLOSE`.
        like: what attention is like; default: :class:`PlantedAttention`.

    Raises:
        ValueError: no level of noise gives that.
    """
    like = like or PlantedAttention()
    directions = F.normalize(_normal((classes, like.channels), (seed, _CLASSES, _GRAPH)), dim=1)
    noise = _noise_field(len(truth), side, like.channels, (seed, _FIELDS, number, _GRAPH)) / math.sqrt(like.channels)
    fading = _distances(side, len(truth) // side) / like.reach

    def plant(level: float) -> PlantedGraph:
        features = F.normalize(directions[truth] + level * noise, dim=1)
        graph = (like.sharpness * features @ features.T - fading).softmax(dim=1)
        return PlantedGraph(graph, graph_auc(graph, truth), level)

    low, high = plant(0.0), plant(_WORST_LEVEL)
    found = min(low, high, key=lambda one: abs(one.auc - auc))
    if high.auc < auc < low.auc:
        found = _bisect(plant, low, high, auc)
    if abs(found.auc - auc) > CLOSE:
        raise ValueError(
            f"No graph of AUC {auc:g} can be planted in scene {number} with the seed {seed}, where noise gives"
            f" {high.auc:.3f} to {low.auc:.3f}: choose an AUC between these, or another seed."
        )
    return found


def graph_auc(graph: Tensor, truth: Tensor) -> float:
    """Chance that a pair of patches of one class has more attention than a pair of two classes; ties count half.

    Args:
        graph: (N, N); what patches attend to themselves does not count.
        truth: class of each patch (N,), two classes or more.
    """
    others = ~torch.eye(len(truth), dtype=torch.bool)
    return float(roc_auc(graph[others], (truth[:, None] == truth)[others]))


def _bisect(plant: Callable[[float], PlantedGraph], low: PlantedGraph, high: PlantedGraph, auc: float) -> PlantedGraph:
    """The graph between two levels that has the AUC, as nearly as some steps get."""
    found = low
    for _ in range(_STEPS):
        found = plant((low.level + high.level) / 2)
        if abs(found.auc - auc) <= _NEAR:
            break
        low, high = (found, high) if found.auc > auc else (low, found)
    return found


def _noise_field(count: int, side: int, channels: int, seed: tuple[int, ...]) -> Tensor:
    """Noise (N, channels) of unit variance, partly smooth over the grid."""
    rough, smooth = _normal((2, side, count // side, channels), seed)
    smooth = torch.from_numpy(ndimage.gaussian_filter(smooth.numpy(), (_SMOOTH_WIDTH, _SMOOTH_WIDTH, 0)))
    mixed = math.sqrt(1 - _SMOOTH_SHARE) * rough + math.sqrt(_SMOOTH_SHARE) * smooth / smooth.std()
    return mixed.flatten(0, 1)


def _normal(shape: tuple[int, ...], seed: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))


def _distances(rows: int, columns: int) -> Tensor:
    """Between the patches of a grid, in patches: (N, N)."""
    places = torch.cartesian_prod(torch.arange(float(rows)), torch.arange(float(columns)))
    return torch.cdist(places, places)
