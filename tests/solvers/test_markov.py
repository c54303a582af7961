"""Doubly stochastic matrices and velocities on them."""

import pytest
import torch

from mmseg_tfovss.solvers import FIRST_STEPS, convergence_steps, iterative_proportional_fitting, max_velocity
from tests.solvers.planted import random_affinity, random_mass, two_islands

CRITERIA = ("relative_mass", "relative_change", "absolute")


def test_fitting_equals_alternating_divisions():
    expected = random_affinity(25)
    for _ in range(15):
        expected = expected / expected.sum(1, keepdim=True)
        expected = expected / expected.sum(0, keepdim=True)
    torch.testing.assert_close(iterative_proportional_fitting(random_affinity(25)), expected, atol=1e-14, rtol=1e-10)


@pytest.mark.parametrize("affinity", [random_affinity(30), two_islands(9), torch.eye(4), torch.ones(1, 1)])
def test_rows_and_columns_sum_to_one(affinity):
    fitted = iterative_proportional_fitting(affinity.float())
    assert fitted.dtype == torch.float32
    torch.testing.assert_close(fitted.sum(0), torch.ones(len(affinity)), atol=1e-5, rtol=0)
    torch.testing.assert_close(fitted.sum(1), torch.ones(len(affinity)), atol=1e-4, rtol=0)


def test_a_patch_without_affinity_keeps_its_mass():
    affinity = random_affinity(6)
    affinity[2] = 0
    affinity[:, 2] = 0
    fitted = iterative_proportional_fitting(affinity)
    assert fitted[2, 2] == 1
    torch.testing.assert_close(fitted.sum(1), torch.ones(6, dtype=torch.float64), atol=1e-6, rtol=0)


def test_the_chain_keeps_mass_and_leaves_the_uniform_distribution_alone():
    transition = iterative_proportional_fitting(random_affinity(40), iterations=100)
    uniform = torch.full((40, 1), 1 / 40, dtype=torch.float64)
    torch.testing.assert_close(transition.T @ uniform, uniform, atol=1e-12, rtol=0)
    mass = random_mass(40, 3)
    moved = transition.T @ mass
    torch.testing.assert_close(moved.sum(0), torch.ones(3, dtype=torch.float64), atol=1e-12, rtol=0)
    assert (moved - 1 / 40).abs().sum() < (mass - 1 / 40).abs().sum()  # on its way to the uniform distribution


def steps_by_loop(mass, transition, tau, criterion, max_steps):
    """The integer step of Eq. 12, patch by patch."""
    steps = torch.full_like(mass, max_steps)
    done = torch.zeros_like(mass, dtype=torch.bool)
    current = mass
    for step in range(1, max_steps + 1):
        moved = transition.T @ current
        if criterion == "relative_mass":
            reached = current / current.amax(0) >= tau  # the mass itself is what step 1 brings
        elif criterion == "relative_change":
            reached = ((moved - current).abs() <= tau * current) & (current > 0)
        else:
            reached = (moved - current).abs() <= tau
        steps[reached & ~done] = step
        done |= reached
        current = moved
    return steps, done


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("tau", [0.05, 0.3])
def test_steps_round_up_to_those_of_a_loop(criterion, tau):
    mass = random_mass(30, 4)
    transition = iterative_proportional_fitting(0.6 * torch.eye(30) + 0.4 * random_affinity(30))
    options = {"tau": tau, "criterion": criterion, "max_steps": 12}
    capped, _ = convergence_steps(mass, transition, **options)
    steps, late = convergence_steps(mass, transition, **options, first_step="interpolated")
    assert torch.equal(capped, steps.clamp_min(1))
    expected, done = steps_by_loop(mass, transition, tau, criterion, 12)
    assert torch.equal(late, ~done)
    assert torch.equal(steps.ceil()[done], expected[done])
    assert (steps[late] == 12).all()
    torch.testing.assert_close(max_velocity(mass, transition, **options), 1 / capped)
    torch.testing.assert_close(max_velocity(mass, transition, **options, first_step="interpolated"), 1 / steps)


@pytest.mark.parametrize("first_step", FIRST_STEPS)
def test_velocity_is_continuous_in_the_mass(first_step):
    """Across the threshold, and across the step from one convergence step to the next."""
    transition = iterative_proportional_fitting(two_islands(4))
    shares = torch.linspace(0.01, 0.49, 2000, dtype=torch.float64)
    mass = torch.stack([1 - shares, shares, 0 * shares, 0 * shares])
    velocity = max_velocity(mass, transition, first_step=first_step)
    assert (velocity[1].diff() >= 0).all()
    assert velocity[1].diff().max() < 0.02
    assert velocity[1].min() < 0.8
    assert velocity[1].max() == 1 if first_step == "capped" else velocity[1].max() > 3


def test_the_literal_criterion_is_met_by_everything_at_once():
    """Why Eq. 12 with masses that sum to 1 is not the default."""
    mass, transition = random_mass(500, 4), iterative_proportional_fitting(random_affinity(500))
    assert mass.max() < 0.3
    assert (max_velocity(mass, transition, criterion="absolute") == 1).all()


def test_the_graph_decides_who_is_reached():
    """A planted graph: the mass of one patch arrives on its own island only."""
    mass = torch.zeros(10, 1, dtype=torch.float64)
    mass[1] = 1
    velocity = max_velocity(mass, iterative_proportional_fitting(two_islands(10)), max_steps=20)
    assert velocity[1] > velocity[0] > 0.4
    assert (velocity[5:] == 1 / 20).all()


def test_permutations_and_batches():
    mass, affinity = random_mass(20, 5), random_affinity(20)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    transition = iterative_proportional_fitting(affinity)
    velocity = max_velocity(mass, transition)
    permuted = max_velocity(mass[order], iterative_proportional_fitting(affinity[order][:, order]))
    torch.testing.assert_close(permuted, velocity[order], atol=1e-9, rtol=0)
    batch = torch.stack([mass, random_mass(20, 5, 7)]), torch.stack([affinity, random_affinity(20, 7)])
    together = max_velocity(batch[0], iterative_proportional_fitting(batch[1]))
    torch.testing.assert_close(together[0], velocity, atol=1e-12, rtol=0)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_rejected_one_hot_and_single_patches(criterion):
    mass = torch.zeros(8, 2)
    mass[3, 0] = 1
    velocity = max_velocity(mass, iterative_proportional_fitting(random_affinity(8).float()), criterion=criterion)
    assert velocity.isfinite().all()
    assert (velocity[:, 0] > 0).all()
    assert (velocity[:, 1] == 0).all()
    alone = max_velocity(torch.ones(1, 1), torch.ones(1, 1), criterion=criterion)
    assert alone.isfinite().all()


def test_half_precision_comes_in_and_float32_goes_out():
    mass, transition = random_mass(16, 3).half(), iterative_proportional_fitting(random_affinity(16).half())
    assert max_velocity(mass, transition).dtype == transition.dtype == torch.float32


@pytest.mark.parametrize("criterion", CRITERIA)
def test_no_patch_is_faster_than_one_step(criterion):
    """Eq. 12: v = 1 / l with l >= 1."""
    for seed in range(10):
        mass, transition = random_mass(20, 5, seed), iterative_proportional_fitting(random_affinity(20, seed))
        assert max_velocity(mass, transition, tau=0.3, criterion=criterion).max() <= 1


def test_an_interpolated_first_step_tells_the_heaviest_patches_apart():
    """The mass itself is tested at step 1, and the crossing interpolated: velocities go up to 1 / tau."""
    mass, transition = random_mass(20, 5), iterative_proportional_fitting(random_affinity(20))
    velocity = max_velocity(mass, transition, tau=0.3, first_step="interpolated")
    assert torch.equal(velocity.argmax(0), mass.argmax(0))
    torch.testing.assert_close(velocity.amax(0), torch.full((5,), 1 / 0.3, dtype=torch.float64))


@pytest.mark.parametrize("criterion", CRITERIA)
def test_no_images_give_no_velocities(criterion):
    transition = iterative_proportional_fitting(torch.zeros(0, 5, 5))
    assert transition.shape == (0, 5, 5)
    for matrix in (transition, torch.eye(5)):
        assert max_velocity(torch.zeros(0, 5, 2), matrix, criterion=criterion).shape == (0, 5, 2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tau": 0}, "tau must be positive"),
        ({"tau": torch.nan}, "tau must be positive and a number, but got nan"),
        ({"tau": True}, "tau must be positive and a number, but got True"),
        ({"max_steps": 0}, "max_steps must be positive"),
        ({"max_steps": 10.5}, "max_steps must be positive and a whole number, but got 10.5"),
        ({"max_steps": True}, "max_steps must be positive and a whole number, but got True"),
        ({"mass": torch.zeros(4, 0)}, r"mass must have the shape \(..., N, C\) with N, C >= 1"),
        ({"criterion": "speed"}, "relative_mass"),
        ({"first_step": "skipped"}, r"first_step must be one of \['capped', 'interpolated'\], but got 'skipped'"),
        ({"transition": torch.ones(4, 5)}, "transition must have the shape"),
        ({"mass": torch.ones(4, 1)}, "sum to 1"),
    ],
)
def test_wrong_input_is_named(change, said):
    arguments = {"mass": random_mass(4, 2), "transition": torch.eye(4), **change}
    with pytest.raises(ValueError, match=said):
        max_velocity(arguments.pop("mass"), arguments.pop("transition"), **arguments)


@pytest.mark.parametrize(
    ("affinity", "iterations", "said"),
    [
        (-torch.eye(3), 15, ">= 0"),
        (torch.eye(3) * torch.nan, 15, ">= 0 and defined"),
        (torch.ones(2, 3), 15, "shape"),
        (torch.ones(0, 0), 15, "with N >= 1"),
        (torch.tensor(1.0), 15, "with N >= 1"),
        (torch.eye(3), 0, "iterations must be positive"),
        (torch.eye(3), 2.5, "iterations must be positive and a whole number"),
    ],
)
def test_fitting_refuses_what_is_no_affinity(affinity, iterations, said):
    with pytest.raises(ValueError, match=said):
        iterative_proportional_fitting(affinity, iterations=iterations)
