"""Spectra of patch graphs against decompositions of the whole graphs, and what is made of them by hand."""

from itertools import permutations

import pytest
import torch

from mmseg_tfovss.ops import spectral


def random_keys(*shape, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=draw, dtype=torch.float64) + 0.3


@pytest.mark.parametrize("patches", [12, 3])
def test_eigenvectors_are_those_of_the_whole_graph(patches):
    """Also where there are fewer patches than channels, and the rest of the eigenvalues are 0."""
    keys = random_keys(2, 3, patches, 5)
    graph = spectral.graph_of(keys)
    torch.testing.assert_close(graph[1, 2, 0, 1], keys[1, 2, 0] @ keys[1, 2, 1] / 5**0.5)
    values, vectors = spectral.graph_eigenvectors(keys)
    assert vectors.shape == (2, 3, patches, 5)
    count = min(patches, 5)
    expected = torch.linalg.eigvalsh(graph).flip(-1)[..., :count]
    torch.testing.assert_close(values[..., :count], expected)
    torch.testing.assert_close(spectral.graph_eigenvalues(keys), values)
    torch.testing.assert_close((vectors * values[..., None, :]) @ vectors.mT, graph)
    lengths = vectors.norm(dim=-2)
    torch.testing.assert_close(lengths, (torch.arange(5) < count).double().expand_as(lengths))


def test_keys_of_nothing_have_no_spectrum():
    values, vectors = spectral.graph_eigenvectors(torch.zeros(1, 4, 3))
    assert not values.any()
    assert not vectors.any()
    assert spectral.spectral_distances(values[None], values[None], 2).tolist() == [[[0.0]]]


def test_distances_compare_shares_of_the_largest_eigenvalues():
    left, right = torch.tensor([[[6.0, 2.0, 1.0]]]), torch.tensor([[[1.0, 1.0], [3.0, 1.0]]])
    found = spectral.spectral_distances(left, right, 2)  # 3/4, 1/4 against 1/2, 1/2 and 3/4, 1/4
    torch.testing.assert_close(found, torch.tensor([[[0.5, 0.0]]]))
    found = spectral.spectral_distances(left, right, 3)  # 6/9, 2/9, 1/9 against 1/2, 1/2, 0
    torch.testing.assert_close(found[0, 0, 0], torch.tensor(1 / 6 + 5 / 18 + 1 / 9))


def test_heads_are_matched_to_the_farthest():
    distances = random_keys(5, 3, 3, seed=1).abs()
    for found, matrix in zip(spectral.match_farthest(distances), distances, strict=True):
        best = max(permutations(range(3)), key=lambda order: sum(matrix[row, order[row]] for row in range(3)))
        assert found.tolist() == list(best)


def test_equal_sums_keep_their_order_by_a_margin():
    """Distances from a sum of rows and columns: every matching has the same sum."""
    rows, columns = random_keys(2, 4, seed=2)
    for seed in range(10):
        noise = 1e-9 * random_keys(4, 4, seed=seed)
        assert spectral.match_farthest((rows[:, None] + columns + noise)[None], 1e-4).tolist() == [[0, 1, 2, 3]]
    better = rows[:, None] + columns + 0.01 * torch.eye(4)[[1, 0, 2, 3]]
    assert spectral.match_farthest(better[None], 1e-4).tolist() == [[1, 0, 2, 3]]


def test_the_rank_that_holds_the_energy():
    values = torch.tensor([[8.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    assert spectral.rank_by_energy(values, 0.8).tolist() == [1, 4, 1]
    assert spectral.rank_by_energy(values, 0.81).tolist() == [2, 4, 1]
    assert spectral.rank_by_energy(values, 1.0).tolist() == [3, 4, 1]


def test_eigenscaling_stretches_the_kept_ones():
    values = torch.tensor([[5.0, 3.0, 1.0, 0.5], [2.0, 2.0, 1.0, 0.0]])
    kept = torch.tensor([[True, True, True, False], [True, True, False, False]])
    found = spectral.rescale_spectrum(values, kept)
    # From 1 .. 5 to 0.5 .. 7.5; all alike: 1.5 times as large.
    torch.testing.assert_close(found[0, :3], torch.tensor([7.5, 4.0, 0.5]))
    torch.testing.assert_close(found[1, :2], torch.tensor([3.0, 3.0]))
    assert found.isfinite().all()


def test_the_randomised_decomposition_is_torchs():
    """Of the whole graphs, from the same directions."""
    keys = random_keys(3, 30, 8)
    torch.manual_seed(7)
    expected = [torch.svd_lowrank(graph, q=4) for graph in spectral.graph_of(keys)]
    draw = torch.Generator().manual_seed(7)
    start = torch.stack([torch.randn(30, 4, dtype=torch.float64, generator=draw) for _ in range(3)])
    left, values, right = spectral.low_rank_svd(keys, start)
    for index, (u, s, v) in enumerate(expected):
        torch.testing.assert_close(values[index], s)
        torch.testing.assert_close((left[index] * values[index]) @ right[index].T, u @ s.diag() @ v.T)
    exact = torch.linalg.svdvals(spectral.graph_of(keys))[:, :4]
    assert (values <= exact + 1e-9).all()
    assert (values - exact).abs().max() > 1e-6


def test_ranges_are_mapped_onto_each_other():
    values, target = torch.tensor([[0.0, 2.0], [3.0, 4.0]]), torch.tensor([[5.0, 5.0, 1.0], [2.0, 3.0, 9.0]])
    torch.testing.assert_close(spectral.fit_range(values, target, (0, 1)), torch.tensor([[1.0, 5.0], [7.0, 9.0]]))
    torch.testing.assert_close(spectral.fit_range(values, target, (1,)), torch.tensor([[1.0, 5.0], [2.0, 9.0]]))
    assert spectral.fit_range(torch.ones(2, 2), target, (0, 1)).tolist() == [[1.0, 1.0], [1.0, 1.0]]
