"""Each reading once, and solved as the method would solve it."""

import itertools
from collections import Counter

import pytest
import torch

from mmseg_tfovss.ops.discrepancy import Discrepancy
from mmseg_tfovss.ops.graph import COSTS
from mmseg_tfovss.solvers import CRITERIA, FIRST_STEPS, KL_DIRECTIONS, MARGINALS
from mmseg_tfovss.studies.headroom.readings import TAUS, all_readings, solve_readings


@pytest.fixture
def problem():
    draw = torch.Generator().manual_seed(2)
    mass = torch.rand(30, 4, generator=draw).pow(3)
    mass[torch.rand(30, 4, generator=draw) < 0.4] = 0
    graph = (4 * torch.rand(30, 30, generator=draw)).softmax(dim=1)
    return mass / mass.sum(dim=0), graph, torch.rand(30, 4, generator=draw)


def test_every_reading_is_there_once():
    paths = list(itertools.product(COSTS, MARGINALS))
    velocities = list(itertools.product(CRITERIA, TAUS, FIRST_STEPS))
    expected = [("optimal_path", *one) for one in paths] + [("max_velocity", *one) for one in velocities]
    expected += [("fusion", *path, *velocity) for path, velocity in itertools.product(paths, velocities)]
    found = [(one.mode, *(value for _, value in one.values)) for one in all_readings(needs_graph=True)]
    assert Counter(found) == Counter(expected)
    assert len(found) == len(set(found)) > 100
    without = [one.options for one in all_readings(needs_graph=False)]
    assert without == [{"mode": "kl", "kl_direction": direction} for direction in KL_DIRECTIONS]


def test_one_reading_of_each_mode_is_the_default():
    readings = all_readings(needs_graph=True) + all_readings(needs_graph=False)
    defaults = [one for one in readings if one.is_default]
    assert sorted(one.mode for one in defaults) == ["fusion", "kl", "max_velocity", "optimal_path"]
    for one in defaults:
        assert one.discrepancy() == Discrepancy(mode=one.mode)


def test_what_is_shared_is_what_each_reading_would_find_alone(problem):
    mass, graph, confidence = problem
    readings = all_readings(needs_graph=True)
    before = [one.clone() for one in problem]
    found = dict(solve_readings(readings, mass, graph, confidence))
    assert list(found) == readings
    for reading, scores in found.items():
        assert torch.equal(scores, reading.discrepancy().solve(mass, graph, confidence)), reading
    assert all(map(torch.equal, problem, before))
    for reading, scores in solve_readings(all_readings(needs_graph=False), mass, None, confidence):
        assert torch.equal(scores, reading.discrepancy().solve(mass, None, confidence))


def test_paths_and_velocities_are_solved_once(problem, monkeypatch):
    calls = Counter()
    for name in ("optimal_path", "max_velocity"):
        solve = getattr(Discrepancy, name)

        def counted(self, *arguments, name=name, solve=solve):
            calls[name] += 1
            return solve(self, *arguments)

        monkeypatch.setattr(Discrepancy, name, counted)
    readings = all_readings(needs_graph=True)
    assert len(list(solve_readings(readings, *problem))) == len(readings)
    modes = Counter(one.mode for one in readings)
    assert calls == {name: modes[name] for name in ("optimal_path", "max_velocity")}
