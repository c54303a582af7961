"""Optimal paths against POT, closed forms, and the properties that any transport has."""

import math

import ot
import pytest
import torch

from mmseg_tfovss.solvers import optimal_path, sinkhorn_plan_potentials
from tests.solvers.planted import random_affinity, random_mass

EPSILON = 0.1


def cost_of(count, seed=0, dtype=torch.float64):
    return 1 - random_affinity(count, seed, dtype) / random_affinity(count, seed, dtype).max()


def plans_of(mass, cost, **options):
    mu, nu = sinkhorn_plan_potentials(mass, cost, epsilon=options.get("epsilon", EPSILON), **options_without(options))
    kernel = torch.exp(-cost / options.get("epsilon", EPSILON))
    return mu.T[:, :, None] * kernel * nu.T[:, None, :]  # (C, N, N)


def options_without(options):
    return {key: value for key, value in options.items() if key != "epsilon"}


@pytest.mark.parametrize("log_domain", [False, True])
@pytest.mark.parametrize(("dtype", "near"), [(torch.float64, 1e-9), (torch.float32, 1e-6)])
def test_paths_and_plans_equal_pot(log_domain, dtype, near):
    mass, cost = random_mass(40, 5), cost_of(40)
    options = {"epsilon": EPSILON, "iterations": 1000, "tolerance": 0, "log_domain": log_domain}
    found = {end: optimal_path(mass.to(dtype), cost.to(dtype), marginal=end, **options) for end in ("target", "source")}
    plans = plans_of(mass.to(dtype), cost.to(dtype), **options)
    assert found["target"].dtype == dtype
    for c in range(mass.shape[1]):
        uniform = torch.full((40,), 1 / 40, dtype=torch.float64)
        plan = torch.from_numpy(
            ot.sinkhorn(mass[:, c].numpy(), uniform.numpy(), cost.numpy(), EPSILON, numItermax=5000)
        )
        torch.testing.assert_close(plans[c].double(), plan, atol=near, rtol=0)
        torch.testing.assert_close(found["target"][:, c].double(), (cost * plan).sum(0), atol=near, rtol=0)
        torch.testing.assert_close(found["source"][:, c].double(), (cost * plan).sum(1), atol=near, rtol=0)


@pytest.mark.parametrize("log_domain", [False, True])
def test_fifty_iterations_meet_both_marginals(log_domain):
    mass, cost = random_mass(64, 7, dtype=torch.float32), cost_of(64, dtype=torch.float32)
    plans = plans_of(mass, cost, log_domain=log_domain)
    torch.testing.assert_close(plans.sum(2).T, mass, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(plans.sum(1), torch.full((7, 64), 1 / 64), atol=1e-7, rtol=1e-5)


def test_two_patches_have_a_closed_form():
    """With C = [[0, 1], [1, 0]] and x = pi_12, the optimum satisfies pi_11 pi_22 / (pi_12 pi_21) = exp(2 / epsilon)."""
    first = 0.8
    mass = torch.tensor([[first], [1 - first]], dtype=torch.float64)
    cost = 1 - torch.eye(2, dtype=torch.float64)
    ratio = math.exp(2 / EPSILON)
    low, high = first - 0.5, min(first, 0.5)  # pi_12 between its bounds, by bisection of a monotone equation
    for _ in range(200):
        x = (low + high) / 2
        too_small = (first - x) * (0.5 - x) > ratio * x * (x + 0.5 - first)
        low, high = (x, high) if too_small else (low, x)
    found = optimal_path(mass, cost, epsilon=EPSILON, iterations=2000, tolerance=0)
    expected = torch.tensor([[0.5 - first + x], [x]], dtype=torch.float64)  # from 2 to 1, from 1 to 2
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=0)


def test_permuting_patches_permutes_paths():
    mass, cost = random_mass(30, 4), cost_of(30)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(3))
    expected = optimal_path(mass, cost)[order]
    torch.testing.assert_close(optimal_path(mass[order], cost[order][:, order]), expected, atol=1e-12, rtol=1e-9)


def test_classes_and_images_do_not_influence_each_other():
    masses = torch.stack([random_mass(20, 6, seed) for seed in (0, 1)])
    costs = torch.stack([cost_of(20, seed) for seed in (0, 1)])
    options = {"tolerance": 0}
    together = optimal_path(masses, costs, **options)
    assert together.shape == (2, 20, 6)
    for image in (0, 1):
        for c in range(6):
            alone = optimal_path(masses[image, :, c : c + 1], costs[image], **options)
            torch.testing.assert_close(together[image, :, c : c + 1], alone, atol=1e-12, rtol=1e-9)


def test_one_cost_serves_a_batch_of_masses():
    masses = torch.stack([random_mass(20, 3, seed) for seed in (0, 1)])
    torch.testing.assert_close(
        optimal_path(masses, cost_of(20))[1], optimal_path(masses[1], cost_of(20)), rtol=1e-9, atol=0
    )


@pytest.mark.parametrize("log_domain", [False, True])
@pytest.mark.parametrize("marginal", ["target", "source"])
def test_rejected_classes_and_one_hot_masses_give_no_nan(log_domain, marginal):
    mass = torch.zeros(12, 3)
    mass[4, 0] = 1
    mass[:6, 2] = 1 / 6
    path = optimal_path(mass, cost_of(12, dtype=torch.float32), marginal=marginal, log_domain=log_domain)
    assert path.isfinite().all()
    assert (path[:, 1] == 0).all()
    assert (path[:, [0, 2]].sum(0) > 0).all()
    # All of a one-hot mass starts at its patch: what patch j receives costs C_4j / N.
    if marginal == "target":
        torch.testing.assert_close(path[:, 0], cost_of(12, dtype=torch.float32)[4] / 12, atol=1e-6, rtol=1e-4)


def test_forbidden_moves_give_no_nan():
    """Two islands: the half without any mass receives nothing."""
    cost = torch.full((8, 8), torch.inf)
    cost[:4, :4] = cost[4:, 4:] = 0.5
    mass = torch.zeros(8, 2)
    mass[:4, 0] = 0.25
    mass[:, 1] = 1 / 8
    for log_domain in (False, True):
        path = optimal_path(mass, cost, log_domain=log_domain)
        assert path.isfinite().all()
        assert (path[4:, 0] == 0).all()
        torch.testing.assert_close(path[:, 1], torch.full((8,), 0.5 / 8))


def test_a_single_patch():
    assert optimal_path(torch.ones(1, 2), torch.full((1, 1), 0.3)).tolist() == [[pytest.approx(0.3)] * 2]


def test_a_small_epsilon_needs_and_gets_logarithms():
    """exp(-1 / 0.001) is 0 in float32; the plan tends to the unregularised one, here of one dimension."""
    places = torch.linspace(0, 1, 16)
    cost = (places[:, None] - places).abs()
    mass = torch.zeros(16, 1)
    mass[:2] = 0.5
    path = optimal_path(mass, cost, epsilon=1e-3, iterations=500)
    exact = ot.emd2(mass[:, 0].double().numpy(), torch.full((16,), 1 / 16).double().numpy(), cost.double().numpy())
    assert path.sum().item() == pytest.approx(exact, rel=1e-2)
    mu, nu = sinkhorn_plan_potentials(mass, cost, epsilon=5e-2, iterations=500, log_domain=True)
    assert mu.isfinite().all()
    assert nu.isfinite().all()


def test_iterations_stop_once_the_marginals_agree():
    mass, cost = random_mass(50, 3), cost_of(50)
    exact = optimal_path(mass, cost, iterations=2000, tolerance=0)
    few = optimal_path(mass, cost, iterations=2)
    early = optimal_path(mass, cost, iterations=10**9, tolerance=1e-6)  # would not end otherwise
    assert (few - exact).abs().max() > 1e-5
    torch.testing.assert_close(early, exact, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mass": -random_mass(5, 2)}, "mass must be >= 0"),
        ({"mass": 2 * random_mass(5, 2)}, "column must sum to 1"),
        ({"mass": torch.full((5, 2), torch.nan)}, "mass must be"),
        ({"mass": torch.ones(5)}, "shape"),
        ({"cost": cost_of(4)}, "cost must have the shape"),
        ({"cost": -cost_of(5)}, "cost must be >= 0"),
        ({"cost": cost_of(5) * torch.nan}, "cost must be >= 0"),
        ({"epsilon": 0}, "epsilon must be positive"),
        ({"iterations": 0}, "iterations must be positive"),
        ({"marginal": "row"}, "target"),
    ],
)
def test_wrong_input_is_named(change, said):
    arguments = {"mass": random_mass(5, 2), "cost": cost_of(5), **change}
    with pytest.raises(ValueError, match=said):
        optimal_path(arguments.pop("mass"), arguments.pop("cost"), **arguments)


def test_plain_and_logarithmic_iterations_agree_up_to_the_largest_cost():
    """At 80 epsilon the smallest kernel entry is 2e-35; float32 still gives what float64 and logarithms give."""
    places = torch.linspace(0, 1, 40, dtype=torch.float64)
    cost = 8 * (places[:, None] - places).abs()
    mass = torch.zeros(40, 2, dtype=torch.float64)
    mass[:3, 0] = 1 / 3  # most targets are far away
    mass[::2, 1] = 1 / 20
    exact = optimal_path(mass, cost, log_domain=True)
    torch.testing.assert_close(optimal_path(mass, cost, log_domain=False), exact, atol=1e-6, rtol=1e-3)
    torch.testing.assert_close(optimal_path(mass.float(), cost.float()).double(), exact, atol=1e-6, rtol=1e-3)
