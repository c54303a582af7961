"""Label propagation: scores spread over a graph until neighbours agree. Zhou et al., NeurIPS 2003.

    W >= 0, symmetric, without loops;   S = D^(-1/2) W D^(-1/2);   (I - alpha S) z = y

for all classes at once. Two graphs as LPOSS (arXiv:2503.19777) has them, both sparse:

    neighbour_graph   of N nodes with features and places, each with its k nearest by inner product s:
                      w = max(s, 0)^gamma exp(-sigma distance^power);   W = w + w^T: mutual neighbours count twice
    colour_graph      of the pixels of an image, each with those in a square around it:
                      w = exp(-||colour difference|| / tau)

A graph is S in compressed sparse rows. Nothing of size N x N is made. For pixels, too: on CPUs, products with the rows
take a third of the time of adding up the image shifted by each step, and 13 x 13 neighbours of 560 x 747 pixels fit in
0.9 GB.
"""

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.ops.slices import parts
from mmseg_tfovss.solvers.conjugate_gradients import conjugate_gradients

_ELEMENTS = 1 << 23  # values held at a time


def nearest_by_inner_product(features: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The exact k nearest neighbours of every node, itself among them if its features have length 1.

    Args:
        features: (N, D).
        count: k; all nodes where there are fewer.

    Returns:
        Inner products (N, k), falling, and the nodes (N, k) that they are with.
    """
    count = min(count, len(features))
    rows = max(1, _ELEMENTS // len(features))
    found = [(part @ features.T).topk(count, dim=1) for part in features.split(rows)]
    return torch.cat([one.values for one in found]), torch.cat([one.indices for one in found])


def neighbour_graph(
    features: Tensor, places: Tensor, *, neighbours: int, gamma: float, sigma: float, power: float = 1.0
) -> Tensor:
    """The normalised graph of nodes and their nearest neighbours.

    Args:
        features: (N, D), of length 1.
        places: (N, 2), in pixels.
        neighbours: k, the node itself included, which is then left out.
        gamma: power of the similarities.
        sigma: of the distances, in pixels.
        power: of the distances.

    Returns:
        S, sparse (N, N) float64. A node without neighbours has an empty row.
    """
    similarity, index = nearest_by_inner_product(features, neighbours)  # (N, k)
    distance = (places[index] - places[:, None]).to(similarity.dtype).norm(dim=2)
    weights = similarity.clamp_min(0).pow(gamma) * torch.exp(-sigma * distance**power)
    own = torch.arange(len(index), device=index.device)[:, None].expand_as(index)
    edge = (index != own) & (weights > 0)
    one, other, weights = own[edge], index[edge], weights[edge]
    both = torch.stack([torch.cat([one, other]), torch.cat([other, one])])
    size = (len(features), len(features))
    summed = torch.sparse_coo_tensor(both, torch.cat([weights, weights]), size, check_invariants=False).coalesce()
    (rows, columns), values = summed.indices(), summed.values()
    scale = _inverse_root(values.new_zeros(len(features)).index_add_(0, rows, values))
    values = scale[rows] * values * scale[columns]
    return _sparse(rows.bincount(minlength=len(features)), columns, values.double())


def colour_graph(colours: Tensor, *, radius: int, tau: float) -> Tensor:
    """The normalised graph of pixels and those up to ``radius`` rows and columns away; the image gets a frame.

    Args:
        colours: (C, H, W), any number of channels.
        radius: r, in pixels.
        tau: of the Euclidean distances of colours, > 0.

    Returns:
        S, sparse (N, N) float64, of the N = (H + 2 r) (W + 2 r) pixels of the image with a frame, whose pixels have no
        edges: so the neighbours of every pixel of the image lie at the same steps from it.
    """
    (height, width), side = colours.shape[1:], 2 * radius + 1
    scale = F.pad(_inverse_root(_degrees(colours, radius, tau)), (radius,) * 4)  # 0 in the frame
    framed = F.pad(colours, (radius,) * 4)
    columns, row_length = width + 2 * radius, side * side
    numbers = torch.arange(scale.numel(), dtype=torch.int32, device=colours.device).view(scale.shape)
    inside = numbers[radius : radius + height, radius : radius + width]
    values = torch.empty((height, width, side, side), dtype=torch.float64, device=colours.device)
    step = max(1, _ELEMENTS // (width * row_length))
    for first in range(0, height, step):
        rows = slice(first, min(first + step, height))
        around = slice(first, rows.stop + 2 * radius)
        own, others = colours[:, rows, :, None, None], _squares(framed[:, around], side)
        weights = _affinity(own, others, tau)  # (h, W, side, side)
        weights *= _squares(scale[around], side)
        weights *= scale[radius + rows.start : radius + rows.stop, radius : radius + width, None, None]
        weights[:, :, radius, radius] = 0
        values[rows] = weights
    steps = torch.arange(-radius, radius + 1, dtype=torch.int32, device=colours.device)
    neighbours = inside.flatten()[:, None] + (steps[:, None] * columns + steps).flatten()  # (H W, side^2)
    lengths = torch.zeros_like(numbers)
    lengths[radius : radius + height, radius : radius + width] = row_length
    return _sparse(lengths.flatten(), neighbours.flatten(), values.flatten())


def propagate(graph: Tensor, scores: Tensor, *, alpha: float, steps: int, tolerance: float) -> Tensor:
    """Solve (I - alpha S) z = y by conjugate gradients in float64, all columns at once unless they are many.

    Args:
        graph: S, sparse (N, N) float64.
        scores: y, (N, C).
        alpha: in [0, 1).
        steps: of conjugate gradients, at most.
        tolerance: of ||y - (I - alpha S) z|| / ||y||.

    Returns:
        z, (N, C) float64.
    """

    def product(columns: Tensor) -> Tensor:
        return torch.addmm(columns, graph, columns, alpha=-alpha)

    # Columns are solved independently of each other; of many, a few vectors as large as all of them would be too much.
    solved = torch.empty_like(scores, dtype=torch.float64, memory_format=torch.contiguous_format)
    for columns in parts(scores.shape[1], _ELEMENTS // max(1, len(scores))):
        right = scores[:, columns].double().contiguous()
        solved[:, columns] = conjugate_gradients(product, right, steps=steps, tolerance=tolerance)
    return solved


def propagate_over_pixels(
    graph: Tensor, maps: Tensor, *, radius: int, alpha: float, steps: int, tolerance: float
) -> Tensor:
    """The same for maps of an image.

    Args:
        graph: of :func:`colour_graph`.
        maps: y, (C, H, W).
        radius: of the graph.
        alpha: see :func:`propagate`.
        steps: likewise.
        tolerance: likewise.

    Returns:
        z, (C, H, W) float64.
    """
    framed = F.pad(maps, (radius,) * 4)
    solved = propagate(graph, framed.flatten(1).T, alpha=alpha, steps=steps, tolerance=tolerance)
    return solved.T.unflatten(1, framed.shape[1:])[:, radius:-radius, radius:-radius]


def _degrees(colours: Tensor, radius: int, tau: float) -> Tensor:
    """Sums (H, W) of the weights of every pixel's edges; each edge is looked at once."""
    height, width = colours.shape[1:]
    degrees = colours.new_zeros((height, width))
    for down in range(min(radius + 1, height)):
        for right in range(-radius, radius + 1):
            if (down, right) <= (0, 0) or abs(right) >= width:
                continue
            one = (slice(0, height - down), slice(max(0, -right), width - max(0, right)))
            other = (slice(down, height), slice(max(0, right), width + min(0, right)))
            weights = _affinity(colours[:, *one], colours[:, *other], tau)
            degrees[one] += weights
            degrees[other] += weights
    return degrees


def _affinity(one: Tensor, other: Tensor, tau: float) -> Tensor:
    """exp(-||one - other|| / tau) over the first axis."""
    total = (other[0] - one[0]).square_()
    for channel in range(1, len(one)):
        total += (other[channel] - one[channel]).square_()
    return total.sqrt_().div_(-tau).exp_()


def _squares(maps: Tensor, side: int) -> Tensor:
    """The square (side, side) that begins at every pixel, a view: (..., H, W) -> (..., h, w, side, side)."""
    return maps.unfold(-2, side, 1).unfold(-2, side, 1)


def _inverse_root(degrees: Tensor) -> Tensor:
    """1 / sqrt(degree), 1 for nodes without edges."""
    return torch.where(degrees > 0, degrees, 1).rsqrt()


def _sparse(lengths: Tensor, columns: Tensor, values: Tensor) -> Tensor:
    """A square matrix in compressed sparse rows, of the rows' lengths (N,)."""
    starts = F.pad(lengths.cumsum(0), (1, 0)).int()
    size = (len(lengths), len(lengths))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state")
        warnings.filterwarnings("ignore", "Sparse invariant checks")
        return torch.sparse_csr_tensor(starts, columns.int(), values, size, check_invariants=False)
