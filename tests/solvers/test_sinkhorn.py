"""Optimal paths against POT, closed forms, and the properties that any transport has."""

import logging
import math

import ot
import pytest
import torch

from mmseg_tfovss.solvers import optimal_path, sinkhorn_log_potentials, sinkhorn_plan_potentials
from mmseg_tfovss.solvers import sinkhorn as sinkhorn_module
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
@pytest.mark.parametrize(
    ("dtype", "near"), [(torch.float64, 1e-9), pytest.param(torch.float32, 1e-6, marks=pytest.mark.slow)]
)
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


def steep_cost(span, dtype):
    """A cost in [0, 1], all but 10 / span of which is paid for leaving and arriving, and so changes no plan."""
    draw = torch.Generator().manual_seed(5)
    leaving, arriving = (torch.rand(shape, generator=draw, dtype=torch.float64) for shape in ((12, 1), (1, 12)))
    moving = torch.rand(12, 12, generator=draw, dtype=torch.float64)
    cost = (leaving + arriving) / 2 * (1 - 10 / span) + 10 / span * moving
    return (cost / cost.max()).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("span", [20, 300, 1000, 10000])
def test_plans_are_rebuilt_from_logarithms_for_any_epsilon(span, dtype):
    mass, cost = random_mass(12, 3, dtype=torch.float64).to(dtype), steep_cost(span, dtype)
    options = {"epsilon": 1 / span, "iterations": 100, "tolerance": 1e-9}
    log_mu, log_nu = sinkhorn_log_potentials(mass, cost, **options)
    plans = (log_mu.T[:, :, None] - cost.double() * span + log_nu.T[:, None, :]).exp()
    near = {"atol": 1e-6 if span == 20 and dtype == torch.float32 else 1e-7, "rtol": 0}
    torch.testing.assert_close(plans.sum(2).T, mass.double(), **near)
    torch.testing.assert_close(plans.sum(1), torch.full((3, 12), 1 / 12, dtype=torch.float64), **near)
    torch.testing.assert_close(optimal_path(mass, cost, **options).double(), (cost * plans).sum(1).T, **near)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("span", [20, 300, 590])
def test_plans_are_rebuilt_from_scalings_up_to_600_epsilon(span, dtype):
    mass, cost = random_mass(12, 3, dtype=torch.float64).to(dtype), steep_cost(span, dtype)
    mu, nu = sinkhorn_plan_potentials(mass, cost, epsilon=1 / span, iterations=500)
    assert mu.dtype == nu.dtype == (dtype if span == 20 else torch.float64)
    plans = mu.T[:, :, None] * (cost.to(mu.dtype) * -span).exp() * nu.T[:, None, :]
    torch.testing.assert_close(plans.sum(2).T.to(dtype), mass, atol=1e-5, rtol=0)
    torch.testing.assert_close(plans.sum(1).double(), torch.full((3, 12), 1 / 12, dtype=torch.float64))


def test_scalings_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match=r"epsilon must be at least 0.00167, .* but got 0.001: take sinkhorn_log"):
        sinkhorn_plan_potentials(random_mass(12, 3), steep_cost(1000, torch.float64), epsilon=1e-3)


@pytest.mark.parametrize("marginal", ["target", "source"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_float64_kernel_equals_logarithms_up_to_600_epsilon(marginal, dtype, monkeypatch):
    """On a line, where the far end's scalings are as large as they can be, and with masses of one patch."""
    places = torch.linspace(0, 1, 40, dtype=torch.float64)
    cost = (60 * (places[:, None] - places).abs()).to(dtype)
    mass = random_mass(40, 3)
    mass[:, 0] = 0
    mass[0, 0] = 1
    mass = mass.to(dtype)
    exact = optimal_path(mass.double(), cost.double(), log_domain=True, marginal=marginal)
    monkeypatch.setattr(sinkhorn_module, "scale_logs", None)  # they are not taken
    found = optimal_path(mass, cost, marginal=marginal)
    assert found.dtype == dtype
    near = 1e-11 if dtype == torch.float64 else 1e-6
    torch.testing.assert_close(found.double(), exact, atol=near, rtol=near)


def test_slow_logarithms_are_announced_once(caplog):
    sinkhorn_module._warn_of_logarithms.cache_clear()
    with caplog.at_level(logging.WARNING):
        optimal_path(random_mass(12, 1), steep_cost(500, torch.float64), epsilon=1 / 500, iterations=1)
        assert not caplog.messages
        for _ in range(2):
            optimal_path(random_mass(12, 1), steep_cost(5000, torch.float64), epsilon=1 / 5000, iterations=1)
    assert len(caplog.messages) == 1
    assert "epsilon = 0.0002 " in caplog.text
    assert "costs up to 0.12 (600 epsilon)" in caplog.text


@pytest.mark.parametrize("log_domain", [None, True])
def test_no_images_give_no_paths(log_domain):
    none, cost = torch.zeros(0, 5, 2), torch.rand(5, 5)
    assert optimal_path(none, cost, log_domain=log_domain).shape == (0, 5, 2)
    assert optimal_path(none, cost.expand(0, 5, 5), log_domain=log_domain).shape == (0, 5, 2)
    assert [p.shape for p in sinkhorn_plan_potentials(none, cost, log_domain=log_domain)] == [(0, 5, 2)] * 2


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
        ({"mass": torch.ones(5, 0)}, r"N, C >= 1, but got \(5, 0\)"),
        ({"mass": torch.ones(0, 5)}, "N, C >= 1"),
        ({"cost": cost_of(4)}, "cost must have the shape"),
        ({"cost": -cost_of(5)}, "cost must be >= 0"),
        ({"cost": cost_of(5) * torch.nan}, "cost must be >= 0"),
        ({"epsilon": 0}, "epsilon must be positive"),
        ({"epsilon": math.nan}, "epsilon must be positive and a number, but got nan"),
        ({"epsilon": True}, "epsilon must be positive and a number, but got True"),
        ({"iterations": 0}, "iterations must be positive"),
        ({"iterations": 10.5}, "iterations must be positive and a whole number, but got 10.5"),
        ({"iterations": True}, "whole number, but got True"),
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
