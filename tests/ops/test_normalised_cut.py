"""The second eigenvector of a cut against a dense generalised eigenproblem, and graphs that have none."""

import numpy as np
import pytest
import scipy.linalg
import torch
from scipy.sparse.linalg import ArpackNoConvergence

from mmseg_tfovss.ops import normalised_cut
from mmseg_tfovss.ops.normalised_cut import EPSILON, links, second_eigenvector


def random_graph(count=70, share=0.2, seed=0):
    draw = torch.Generator().manual_seed(seed)
    linked = torch.rand(count, count, generator=draw) < share
    return linked | linked.T | torch.eye(count, dtype=torch.bool)


def blocks(*sizes):
    return torch.block_diag(*(torch.ones(size, size) for size in sizes)).bool()


def by_definition(linked):
    """(D - A) v = lambda D v by scipy, the largest entry positive."""
    affinity = np.where(linked.numpy(), 1.0, EPSILON)
    degree = np.diag(affinity.sum(axis=1))
    values, vectors = scipy.linalg.eigh(degree - affinity, degree)
    assert values[2] - values[1] > 1e-4
    vector = vectors[:, 1]
    return vector * np.sign(vector[np.abs(vector).argmax()])


@pytest.fixture(params=["dense", "lanczos"])
def way(request, monkeypatch):
    if request.param == "lanczos":
        monkeypatch.setattr(normalised_cut, "_DENSE", 8)
    return request.param


@pytest.mark.parametrize("linked", [random_graph(), random_graph(90, 0.1, 1), blocks(20, 33)], ids=["a", "b", "apart"])
def test_it_is_the_second_eigenvector(linked, way):
    found, expected = second_eigenvector(linked).numpy(), by_definition(linked)
    assert np.abs(found / np.linalg.norm(found) - expected / np.linalg.norm(expected)).max() < 1e-6


def test_a_graph_that_falls_apart_is_cut_there(way):
    """Of several components, no one is cut: which of them are on one side is arbitrary."""
    linked = blocks(15, 25, 30)
    vector = second_eigenvector(linked)
    part = vector > vector.mean()
    sides = [set(side.tolist()) for side in part.split([15, 25, 30])]
    assert [len(side) for side in sides] == [1, 1, 1]
    assert 0 < part.sum() < 70


def test_it_is_the_same_every_time(way):
    linked = blocks(15, 25, 30)
    assert torch.equal(second_eigenvector(linked), second_eigenvector(linked))


def test_a_graph_of_all_links_has_no_cut(way):
    assert second_eigenvector(torch.ones(30, 30, dtype=torch.bool)) is None


def test_the_entry_of_largest_size_is_positive(way):
    for seed in range(5):
        vector = second_eigenvector(random_graph(seed=seed))
        assert vector.max() == vector.abs().max()


def test_lanczos_that_does_not_converge_is_less_exact_or_finds_none(monkeypatch):
    asked, find = [], normalised_cut.eigsh
    monkeypatch.setattr(normalised_cut, "_DENSE", 8)

    def stubborn(*args, tol, **kwargs):
        asked.append(tol)
        if tol < patience:
            raise ArpackNoConvergence("no", np.zeros(0), np.zeros((0, 0)))
        return find(*args, tol=tol, **kwargs)

    monkeypatch.setattr(normalised_cut, "eigsh", stubborn)
    patience = 1e-4
    assert second_eigenvector(random_graph()) is not None
    assert asked == [1e-7, 1e-4]
    patience = 1.0
    assert second_eigenvector(random_graph()) is None


def test_links_are_cosines_above_a_threshold():
    features = torch.tensor([[2.0, 0.0], [1.0, 1.0], [0.0, 3.0], [0.0, 0.0]])
    assert links(features, 0.7).long().tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert not links(features, 0.71)[0, 1]
