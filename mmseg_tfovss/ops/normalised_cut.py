"""Normalised cuts of patch graphs with two weights (Shi & Malik, TPAMI 2000; TokenCut, CutLER, LaVG).

    A_ij = 1 if cos(k_i, k_j) > tau, else eps;     D = diag(A 1)
    cut:   (D - A) v = lambda D v with the second smallest lambda

With B = [cos > tau] this is A = (1 - eps) B + eps 1 1^T, and v = D^(-1/2) u for the second eigenvector u of
D^(-1/2) A D^(-1/2). The first one, D^(1/2) 1, is known, so that Lanczos looks for a single vector.
"""

from collections.abc import Callable
from contextlib import suppress

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor

EPSILON = 1e-5
_DENSE = 512  # nodes up to which all eigenvectors are computed
_BASIS = 24  # Lanczos vectors
_RESTARTS = 60
# Of the eigenvalue; the next one where many eigenvalues lie so close together that the one before is not reached: then
# any vector of theirs cuts as well as another.
_ACCURACIES = (1e-7, 1e-4, 1e-2)


def links(features: Tensor, tau: float) -> Tensor:
    """B: which of N features (N, D) have a cosine above tau, (N, N), bool."""
    unit = F.normalize(features.float(), dim=1)
    return unit @ unit.T > tau


def second_eigenvector(linked: Tensor, eps: float = EPSILON) -> Tensor | None:
    """Relaxed normalised cut of a graph whose weights are 1 and eps.

    Args:
        linked: B, (n, n), bool, symmetric, n > 1.
        eps: weight of the other pairs; every graph is connected by it.

    Returns:
        v (n,), float64, the sign such that the entry of largest size is positive; None if all pairs are linked (such a
        graph has no second eigenvector of its own), or if none is found.
    """
    if bool(linked.all()):
        return None
    weights = linked.float()
    degree = (1 - eps) * weights.sum(dim=1).double() + eps * len(weights)
    scale = degree.rsqrt()
    first = degree.sqrt() / degree.sum().sqrt()  # D^(1/2) 1, of length 1
    if len(weights) <= _DENSE:
        matrix = scale[:, None] * ((1 - eps) * weights.double() + eps) * scale
        vector = torch.linalg.eigh(matrix - 2 * torch.outer(first, first))[1][:, -1]
    else:

        def multiply(values: np.ndarray) -> np.ndarray:
            x = torch.from_numpy(values).to(degree)
            scaled = scale * x
            near = (weights @ scaled.float()).double()
            product = scale * ((1 - eps) * near + eps * scaled.sum()) - 2 * first * (first @ x)
            return product.cpu().numpy()

        found = _largest(multiply, len(weights))
        if found is None:
            return None
        vector = torch.from_numpy(found).to(degree)
    vector = vector * scale
    return vector * vector[vector.abs().argmax()].sign()


def _largest(multiply: Callable[[np.ndarray], np.ndarray], size: int) -> np.ndarray | None:
    """The eigenvector (n,) of the largest eigenvalue by Lanczos, always from the same start; None: not found."""
    start = np.random.default_rng(0).standard_normal(size)
    operator = LinearOperator((size, size), matvec=multiply, dtype=np.float64)
    for accuracy in _ACCURACIES:
        with suppress(ArpackNoConvergence):
            found = eigsh(operator, k=1, which="LA", v0=start, ncv=_BASIS, maxiter=_RESTARTS, tol=accuracy)[1]
            return np.asarray(found[:, 0])
    return None
