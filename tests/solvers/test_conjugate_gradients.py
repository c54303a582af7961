"""Conjugate gradients: against direct solves and scipy's, and every column as if it were alone."""

import numpy as np
import pytest
import scipy.sparse.linalg
import torch

from mmseg_tfovss.solvers.conjugate_gradients import conjugate_gradients


@pytest.fixture
def system():
    """A (12, 12), symmetric and positive definite, and y (12, 4) of very different sizes."""
    draw = torch.Generator().manual_seed(0)
    root = torch.randn(12, 12, generator=draw, dtype=torch.float64)
    right = torch.randn(12, 4, generator=draw, dtype=torch.float64) * torch.tensor([1.0, 1e-6, 1e3, 1.0])
    return root @ root.T + 5 * torch.eye(12, dtype=torch.float64), right


def test_as_many_steps_as_rows_solve_the_system(system):
    matrix, right = system
    found = conjugate_gradients(lambda columns: matrix @ columns, right, steps=24, tolerance=1e-12)
    torch.testing.assert_close(found, torch.linalg.solve(matrix, right), rtol=1e-9, atol=0)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_few_steps_are_those_of_scipy(steps, system):
    matrix, right = system
    found = conjugate_gradients(lambda columns: matrix @ columns, right, steps=steps)
    for column, y in zip(found.T, right.T, strict=True):
        expected, _ = scipy.sparse.linalg.cg(matrix.numpy(), y.numpy(), rtol=0.0, atol=0.0, maxiter=steps)
        np.testing.assert_allclose(column.numpy(), expected, rtol=1e-10)


def test_a_solved_column_rests_and_the_others_go_on(system):
    """An eigenvector is solved in one step; a column of zeros in none."""
    matrix, right = system
    values, vectors = torch.linalg.eigh(matrix)
    columns = torch.stack([vectors[:, 3], torch.zeros(12, dtype=torch.float64), right[:, 0]], dim=1)
    calls = []

    def product(directions):
        calls.append(directions.clone())
        return matrix @ directions

    found = conjugate_gradients(product, columns, steps=4, tolerance=1e-6)
    torch.testing.assert_close(found[:, 0], vectors[:, 3] / values[3])
    assert (found[:, 1] == 0).all()
    alone = conjugate_gradients(lambda directions: matrix @ directions, columns[:, 2:], steps=4)
    torch.testing.assert_close(found[:, 2:], alone, rtol=1e-12, atol=0)
    assert len(calls) == 4
    assert all(call[:, :2].abs().max() < 1e-12 for call in calls[1:])


def test_it_ends_when_all_are_solved(system):
    matrix, right = system
    calls = []
    conjugate_gradients(lambda columns: calls.append(1) or matrix @ columns, right, steps=100, tolerance=1e-3)
    assert 1 < len(calls) < 20
    assert (conjugate_gradients(lambda columns: matrix @ columns, 0 * right, steps=3) == 0).all()


def test_the_tolerance_is_that_of_the_residual(system):
    matrix, right = system
    found = conjugate_gradients(lambda columns: matrix @ columns, right, steps=100, tolerance=1e-2)
    left = (right - matrix @ found).norm(dim=0) / right.norm(dim=0)
    assert (left <= 1e-2 * (1 + 1e-9)).all()
    assert (left > 1e-6).all()


def test_no_columns_have_no_solutions():
    assert conjugate_gradients(lambda columns: columns, torch.zeros(3, 0), steps=2).shape == (3, 0)


@pytest.mark.parametrize("steps", [0, 1.5, True])
def test_steps_are_a_whole_number(steps):
    with pytest.raises(ValueError, match=f"steps must be positive and a whole number, but got {steps}"):
        conjugate_gradients(lambda columns: columns, torch.ones(2, 1), steps=steps)


def test_right_hand_sides_are_columns():
    with pytest.raises(ValueError, match=r"right must have the shape \(N, C\), but got \(2,\)"):
        conjugate_gradients(lambda columns: columns, torch.ones(2), steps=1)
