"""Spectra of the patch graphs that keys make, their distances, and graphs of low rank (CASS, arXiv:2411.17150).

    graph            G = x x^T / sqrt(d),   x (N, d): keys of N patches in one head
    spectra          eigenvalues of G, of which d at most are not 0: those of x^T x / sqrt(d), whose eigenvectors v give
                     G's as x v. So nothing larger than d x d is decomposed, in one call for all heads and images
    distance         sum_k |a_k / sum a - b_k / sum b| of the K largest eigenvalues of two heads
    matching         one-to-one, with the largest sum of distances (Hungarian)
    low rank         U diag(s) V^T, without what patches have to themselves

Decompositions are made in float64, because eigenvalues are squares.
"""

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

_ROUNDING = 1e-12  # of the largest eigenvalue: what is smaller is 0


def graph_of(keys: Tensor) -> Tensor:
    """G (..., N, N) of keys (..., N, d)."""
    return (keys * keys.shape[-1] ** -0.5) @ keys.transpose(-1, -2)


def graph_eigenvalues(keys: Tensor) -> Tensor:
    """Eigenvalues of G that may differ from 0, the largest first: (..., N, d) -> (..., d) float64."""
    return torch.linalg.eigvalsh(_small(keys)).flip(-1).clamp_min(0)


def graph_eigenvectors(keys: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`graph_eigenvalues` (..., d), and eigenvectors of G in columns (..., N, d), float64.

    They have length 1, or 0 where the eigenvalue is 0.
    """
    values, small = torch.linalg.eigh(_small(keys))
    values, small = values.flip(-1).clamp_min(0), small.flip(-1)
    length = values.sqrt() * keys.shape[-1] ** 0.25  # of x v
    nothing = values <= _ROUNDING * values[..., :1]
    return values, keys.double() @ (small / length.masked_fill(nothing, torch.inf)[..., None, :])


def _small(keys: Tensor) -> Tensor:
    keys = keys.double()
    return keys.transpose(-1, -2) @ keys * keys.shape[-1] ** -0.5


def largest(values: Tensor, count: int) -> Tensor:
    """The first ``count`` of values (..., d), with zeros behind them where there are fewer."""
    return F.pad(values[..., :count], (0, max(0, count - values.shape[-1])))


def spectral_distances(left: Tensor, right: Tensor, count: int) -> Tensor:
    """Distances of spectra (B, I, d) and (B, J, d'), largest eigenvalues first: (B, I, J), in [0, 2].

    Args:
        left: of I heads.
        right: of J heads.
        count: K, eigenvalues that are compared.
    """
    shares = [F.normalize(largest(values, count), p=1, dim=-1) for values in (left, right)]
    return (shares[0][:, :, None] - shares[1][:, None]).abs().sum(dim=-1)


def match_farthest(distances: Tensor, margin: float = 0.0) -> Tensor:
    """The column for each row so that the sum of distances is largest.

    Sums are often the same up to rounding: where two rows have steeper spectra than two columns, say.

    Args:
        distances: (B, H, H).
        margin: ((row - column) / H)^2 times this is taken off, so that rows and columns of equal sums stay in order
            whatever the last digit is; 0: float32 decides.

    Returns:
        (B, H), on the same device.
    """
    costs = 1 - distances
    if margin:
        places = torch.arange(distances.shape[1], device=distances.device) / distances.shape[1]
        costs = costs + margin * (places[:, None] - places).square()
    columns = [torch.from_numpy(linear_sum_assignment(cost)[1]) for cost in costs.float().cpu().numpy()]
    return torch.stack(columns).to(distances.device)


def rank_by_energy(values: Tensor, energy: float) -> Tensor:
    """How many of the largest eigenvalues (..., d) make up this share of their sum: (...), at least 1."""
    missing = energy * values.sum(dim=-1, keepdim=True) - values.cumsum(dim=-1)
    return 1 + (missing > _ROUNDING * values[..., :1]).sum(dim=-1)


def rescale_spectrum(values: Tensor, kept: Tensor) -> Tensor:
    """Dynamic eigenscaling: stretch the kept eigenvalues to [smallest / 2, 3/2 largest].

    Args:
        values: s, (..., K), the largest first.
        kept: (..., K) bool, which of them there are; the first one always is.

    Returns:
        (..., K); where all kept ones are alike, they are as large as the largest can become.
    """
    high = values[..., :1]
    low = values.masked_fill(~kept, torch.inf).amin(dim=-1, keepdim=True)
    spread = high - low
    place = torch.where(spread > 0, (values - low) / spread.masked_fill(spread == 0, 1), 1)  # in [0, 1]
    return place * (1.5 * high - 0.5 * low) + 0.5 * low


def low_rank_svd(keys: Tensor, start: Tensor, rounds: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Randomised SVD of G (Halko et al., 2011, Algorithm 5.1): near the exact one, and not symmetric.

    Args:
        keys: x, (..., N, d).
        start: random directions, (..., N, q), q <= N.
        rounds: of subspace iteration.

    Returns:
        U (..., N, q), s (..., q), the largest first, and V (..., N, q), float64.
    """
    keys = keys.double() * keys.shape[-1] ** -0.25

    def multiply(vectors: Tensor) -> Tensor:  # G, as keys and keys again
        return keys @ (keys.transpose(-1, -2) @ vectors)

    basis = torch.linalg.qr(multiply(start.double()))[0]
    for _ in range(2 * rounds):  # G^T and G, which are the same
        basis = torch.linalg.qr(multiply(basis))[0]
    left, values, right = torch.linalg.svd(multiply(basis).transpose(-1, -2), full_matrices=False)
    return basis @ left, values, right.transpose(-1, -2)


def fit_range(values: Tensor, target: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Map values linearly so that their smallest and largest are those of a target.

    Args:
        values: any shape.
        target: any shape with as many dimensions.
        dims: over which the extremes are taken.

    Returns:
        As ``values``; where they are all alike, they become the target's smallest.
    """
    low, high = values.amin(dims, keepdim=True), values.amax(dims, keepdim=True)
    least, most = target.amin(dims, keepdim=True), target.amax(dims, keepdim=True)
    spread = (high - low).clamp_min(torch.finfo(values.dtype).tiny)
    return (values - low) / spread * (most - least) + least
