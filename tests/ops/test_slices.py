"""Slices hold every number once."""

import pytest

from mmseg_tfovss.ops.slices import parts, runs_of


@pytest.mark.parametrize(
    ("numbers", "runs"), [([], []), ([4], [(4, 5)]), ([0, 1, 2, 5, 7, 8], [(0, 3), (5, 6), (7, 9)])]
)
def test_runs_of_consecutive_numbers(numbers, runs):
    assert runs_of(numbers) == [slice(*run) for run in runs]


@pytest.mark.parametrize(("step", "sizes"), [(3, [3, 3, 1]), (7, [7]), (9, [7]), (0, [1] * 7)])
def test_parts_follow_each_other_and_none_is_empty(step, sizes):
    found = list(parts(7, step))
    assert [part.stop - part.start for part in found] == sizes
    assert [number for part in found for number in range(7)[part]] == list(range(7))
