"""KL terms against scipy."""

import pytest
import torch
from scipy.special import rel_entr

from mmseg_tfovss.solvers import kl_discrepancy
from tests.solvers.planted import random_mass


def test_both_directions_equal_scipy():
    mass = random_mass(30, 4)
    uniform = torch.full_like(mass, 1 / 30)
    forward, backward = (kl_discrepancy(mass, direction=name) for name in ("mass_to_uniform", "uniform_to_mass"))
    torch.testing.assert_close(forward, torch.from_numpy(rel_entr(mass.numpy(), uniform.numpy())))
    torch.testing.assert_close(backward, torch.from_numpy(rel_entr(uniform.numpy(), mass.numpy())))


def test_the_uniform_mass_has_no_discrepancy():
    assert kl_discrepancy(torch.full((16, 1), 1 / 16)).abs().max() < 1e-7


@pytest.mark.parametrize("direction", ["mass_to_uniform", "uniform_to_mass"])
def test_one_hot_and_rejected_masses_stay_finite(direction):
    mass = torch.zeros(5, 2)
    mass[2, 0] = 1
    terms = kl_discrepancy(mass, direction=direction)
    assert terms.isfinite().all()
    assert (terms[:, 1] == 0).all()


def test_no_images_give_no_terms_and_no_patches_are_refused():
    assert kl_discrepancy(torch.zeros(0, 4, 3)).shape == (0, 4, 3)
    with pytest.raises(ValueError, match="N, C >= 1"):
        kl_discrepancy(torch.zeros(4, 0))


def test_an_unknown_direction_is_named():
    with pytest.raises(ValueError, match="mass_to_uniform"):
        kl_discrepancy(random_mass(3, 1), direction="sideways")
