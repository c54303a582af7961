"""Masses: what NMS keeps, what normalisation makes of it, and what early rejection may throw away."""

import pytest
import torch

from mmseg_tfovss.ops.mass import confidences, normalise, rescale, winners
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
    assert winners(mass, 1).tolist() == [0, 2, 3]
    mass[2, 0] = 0.5
    assert winners(mass, 2).tolist() == [0, 2, 3]  # query 1 has no mass at all
    assert winners(mass, 99).tolist() == [0, 2, 3]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("solver", ["optimal_path", "max_velocity", "kl"])
def test_early_rejection_does_not_change_what_is_kept(seed, solver):
    """The prediction over the kept queries is the same whether the others are solved for or not."""
    logits = cosines(36, 60, seed)  # 60 queries cannot all win at 36 patches
    mass = normalise(logits, confidences(logits, torch.arange(60), 40) > 0.01, 20)
    kept = winners(mass, 1)
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
