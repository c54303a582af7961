"""Fully connected CRF of two labels on pixels, by mean field (Krähenbühl & Koltun, NeurIPS 2011, arXiv:1210.5644).

    E(x) = sum_i u_i(x_i) + sum over kernels m, pairs i, j of w_m k~_m(i, j) [x_i != x_j]
    k_m(i, j) = exp(-|f_i - f_j|^2 / 2),     k~ = n_i k n_j with n = 1 / sqrt(k 1)
    repeat:  Q_i(l) ~ exp(-u_i(l) + sum_m w_m sum_j k~_m(i, j) Q_j(l))

Features f are places / sxy, and places / sxy beside colours / srgb. As in the authors' code, a pixel counts as its own
neighbour, and products with k go through the permutohedral lattice (Adams et al., Eurographics 2010): the kernel is not
the Gaussian itself but a spline near it. tests/ops/test_dense_crf.py says how far the labels are from the exact ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse

_LEAST = 1e-20  # of k 1


@dataclass(frozen=True)
class Kernel:
    """One kernel of the CRF.

    Attributes:
        weight: w, of two pixels with different labels.
        sxy: standard deviation of places, pixels.
        srgb: standard deviation of colours, grey levels; None: colours do not count.
    """

    weight: float
    sxy: float
    srgb: float | None = None

    def features(self, image: np.ndarray) -> np.ndarray:
        """Features f (N, 2 or 5) of an image (H, W, 3)."""
        height, width = image.shape[:2]
        rows, columns = np.mgrid[:height, :width]
        places = np.stack([columns, rows], axis=-1).reshape(-1, 2) / self.sxy
        if self.srgb is None:
            return places
        return np.concatenate([places, image.reshape(-1, 3) / self.srgb], axis=1)


class Lattice:
    """Products with a Gaussian kernel of N points: spread over the corners of their simplices, blur, read out.

    Args:
        features: f (N, d).
    """

    def __init__(self, features: np.ndarray) -> None:
        count, dims = features.shape
        corners, weights = _simplices(features)  # (N, d + 1, d), (N, d + 1)
        low = corners.min(axis=(0, 1)) - dims - 1  # so that neighbours have codes too
        span = corners.max(axis=(0, 1)) + dims + 2 - low
        places = np.cumprod([1, *span[:-1]])
        codes, index = np.unique((corners - low) @ places, return_inverse=True)
        rows = np.arange(0, weights.size + 1, dims + 1)
        shape = (count, len(codes))
        self._read = scipy.sparse.csr_matrix((weights.ravel().astype(np.float32), index.ravel(), rows), shape=shape)
        self._spread = self._read.T.tocsr()
        steps = [
            np.full(dims, 1) for _ in range(dims + 1)
        ]  # along an axis of the lattice; the last coordinate is implied
        for axis in range(dims):
            steps[axis][axis] -= dims + 1
        self._neighbours = [[_find(codes, codes + sign * int(step @ places)) for sign in (-1, 1)] for step in steps]
        self._scale = np.float32(1 / (1 + 2.0**-dims))

    def filter(self, values: np.ndarray) -> np.ndarray:
        """Products k @ values: (N, C) float32 -> (N, C)."""
        nodes = self._spread @ values
        padded = np.concatenate([nodes, np.zeros_like(nodes[:1])])  # where a neighbour is missing
        for before, after in self._neighbours:
            padded[:-1] += np.float32(0.5) * (padded[before] + padded[after])
        return self._scale * (self._read @ padded[:-1])


def refine_masks(image: np.ndarray, unary: np.ndarray, kernels: Sequence[Kernel], steps: int) -> np.ndarray:
    """Labels of a CRF for several masks of one image at once.

    Args:
        image: (H, W, 3), RGB, in grey levels 0 .. 255.
        unary: (M, H, W), u(0) - u(1): how much a mask's pixels prefer to be inside.
        kernels: of the pairs.
        steps: iterations of mean field.

    Returns:
        (M, H, W), bool: where inside is more probable.
    """
    height, width = image.shape[:2]
    bias = np.ascontiguousarray(unary.reshape(len(unary), -1).T, dtype=np.float32)  # (N, M)
    filters = []
    for kernel in kernels:
        lattice = Lattice(kernel.features(image.astype(np.float64)))
        ones = np.ones((height * width, 1), dtype=np.float32)
        norm = 1 / np.sqrt(lattice.filter(ones) + _LEAST)
        # With Q(0) = 1 - Q(1), the difference of both messages is 2 k~ Q(1) - k~ 1.
        bias -= kernel.weight * norm * lattice.filter(norm)
        filters.append((kernel.weight, norm, lattice))
    inside = _sigmoid(np.ascontiguousarray(unary.reshape(len(unary), -1).T, dtype=np.float32))
    for _ in range(steps):
        messages = [2 * weight * norm * lattice.filter(norm * inside) for weight, norm, lattice in filters]
        inside = _sigmoid(bias + sum(messages))
    return (inside > 0.5).T.reshape(unary.shape)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * values))


def _find(codes: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Places of codes in an ascending list; its length where one is not there."""
    places = np.searchsorted(codes, wanted)
    return np.where(codes[np.minimum(places, len(codes) - 1)] == wanted, places, len(codes))


def _simplices(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The simplex of the lattice A_d* that each point lies in: integer corners (N, d + 1, d), and weights (N, d + 1).

    A corner has d + 1 coordinates that sum to 0, so that the last one is left out.
    """
    count, dims = features.shape
    sides = dims + 1
    axes = np.arange(1, dims + 1)
    scaled = features * (np.sqrt(2 / 3) * sides / np.sqrt(axes * (axes + 1)))  # a blur is a Gaussian of variance 1
    # Onto the plane of coordinates that sum to 0.
    after = np.concatenate([np.cumsum(scaled[:, ::-1], axis=1)[:, ::-1], np.zeros((count, 1))], axis=1)
    raised = after.copy()
    raised[:, 1:] -= axes * scaled
    near = np.rint(raised / sides)
    rest = raised - near * sides
    # Rank of the remainders, the largest first.
    order = np.argsort(-rest, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(sides), order.shape), axis=1)
    total = near.sum(axis=1, keepdims=True).astype(np.int64)
    rank += total
    low, high = rank < 0, rank > dims
    rank += sides * (low.astype(np.int64) - high)
    base = (near.astype(np.int64) + low - high) * sides  # the corner whose coordinates are multiples of d + 1
    share = (raised - base) / sides
    by_rank = np.empty_like(share)
    np.put_along_axis(by_rank, rank, share, axis=1)  # descending
    weights = np.empty_like(share)
    weights[:, 1:] = (by_rank[:, :-1] - by_rank[:, 1:])[:, ::-1]
    weights[:, 0] = 1 - weights[:, 1:].sum(axis=1)
    number = np.arange(sides)[:, None]  # corner r adds r, and r - (d + 1) to the r coordinates that rank last
    added = np.where(np.arange(sides) <= dims - number, number, number - sides)  # (r, rank)
    corners = base[:, None] + added[np.arange(sides)[None, :, None], rank[:, None]]  # (N, d + 1, d + 1)
    return corners[..., :dims], weights
