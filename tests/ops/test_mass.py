"""Masses: what NMS keeps, what normalisation makes of it, and what early rejection may throw away."""

import pytest
import torch

from mmseg_tfovss.ops.mass import MassSettings, confidences, normalise, rescale, winners
from mmseg_tfovss.solvers import iterative_proportional_fitting, kl_discrepancy, max_velocity, optimal_path
from tests.solvers.planted import random_affinity


def cosines(count=36, queries=12, seed=0):
    return 0.2 + 0.05 * torch.randn(count, queries, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_synonyms_share_the_confidence_of_their_class():
    logits = torch.tensor([[0.3, 0.3, 0.2]])
    separate = confidences(logits, torch.tensor([0, 1, 2]), 100)
    together = confidences(logits, torch.tensor([0, 0, 1]), 100)
    assert separate[0, 0] < 0.5 < together[0, 0]
    assert together[0, 0] == together[0, 1]
    torch.testing.assert_close(separate, (100 * logits).softmax(1))


def test_masses_sum_to_one_and_rejected_ones_to_zero():
    logits = cosines()
    kept = logits > 0.25
    kept[:, 3] = False
    for normalisation in ("softmax", "probabilities"):
        probabilities = confidences(logits, torch.arange(12), 100)
        mass = normalise(logits, kept, 20, normalisation, probabilities)
        expected = torch.ones(12, dtype=torch.float64)
        expected[3] = 0
        torch.testing.assert_close(mass.sum(0), expected)
        assert (mass[~kept] == 0).all()
    torch.testing.assert_close(normalise(logits, kept, 20)[kept[:, 0], 0], (20 * logits[kept[:, 0], 0]).softmax(0))


def test_winners_are_the_heaviest_queries_of_some_patch():
    mass = torch.tensor([[0.9, 0.0, 0.2, 0.0], [0.1, 0.0, 0.8, 0.0], [0.0, 0.0, 0.0, 1.0]])
    even = torch.full_like(mass, 0.25)
    assert winners(mass, even, 1).tolist() == [0, 2, 3]
    mass[2, 0] = 0.5
    for top_k in (2, 99, 0):
        assert winners(mass, even, top_k).tolist() == [0, 2, 3]  # query 1 has no mass at all


@pytest.mark.parametrize(("more", "less"), [(0, 1), (1, 0)])
def test_of_queries_that_keep_one_patch_alone_the_more_confident_wins(more, less):
    """Both have the mass 1 there, whatever their confidence was."""
    logits = torch.full((4, 9), 0.2)
    logits[0, more], logits[0, less] = 0.304, 0.3
    logits[1:, 2] = 0.3
    kept = {k: MassSettings(theta=0.3, top_k=k).masses(logits, torch.arange(9))[1].tolist() for k in (1, 2, 0)}
    assert kept == {1: [more, 2], 2: [0, 1, 2], 0: [0, 1, 2]}


@pytest.mark.parametrize("seed", range(20))
def test_every_winner_is_beaten_by_fewer_than_k_somewhere(seed):
    """Against a sort of the pairs (mass, confidence) of every patch; masses with many ties."""
    generator = torch.Generator().manual_seed(seed)
    mass = torch.randint(0, 3, (6, 8), generator=generator) / 2
    confidence = torch.rand(6, 8, generator=generator)
    for top_k in (1, 2, 3, 7):
        pairs = zip(mass.tolist(), confidence.tolist(), strict=True)
        best = [sorted(zip(*patch, range(8), strict=True), reverse=True)[:top_k] for patch in pairs]
        expected = sorted({query for patch in best for value, _, query in patch if value > 0})
        assert winners(mass, confidence, top_k).tolist() == expected


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("solver", ["optimal_path", "max_velocity", "kl"])
def test_early_rejection_does_not_change_what_is_kept(seed, solver):
    """The prediction over the kept queries is the same whether the others are solved for or not."""
    logits = cosines(36, 60, seed)  # 60 queries cannot all win at 36 patches
    mass = normalise(logits, confidences(logits, torch.arange(60), 40) > 0.01, 20)
    kept = winners(mass, confidences(logits, torch.arange(60), 40), 1)
    assert 1 < len(kept) <= 36
    affinity = random_affinity(36, seed)
    transition = iterative_proportional_fitting(affinity)
    solve = {
        "optimal_path": lambda f: -optimal_path(f, 1 - affinity / affinity.max()),
        "max_velocity": lambda f: max_velocity(f, transition),
        "kl": kl_discrepancy,
    }[solver]
    everything, some = solve(mass)[:, kept], solve(mass[:, kept])
    torch.testing.assert_close(everything, some, atol=1e-6, rtol=1e-5)
    assert torch.equal(everything.argmax(1), some.argmax(1))


def test_rescaled_maps_span_zero_to_one():
    maps = rescale(torch.tensor([[-3.0, 1.0], [5.0, 0.0]]))
    torch.testing.assert_close(maps, torch.tensor([[0.0, 0.5], [1.0, 0.375]]))
    assert (rescale(torch.full((2, 2), 0.4)) == 0).all()
