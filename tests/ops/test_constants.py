"""What is made once, and where."""

import torch

from mmseg_tfovss.ops import constants
from mmseg_tfovss.ops.constants import constant, home_of_doubles
from mmseg_tfovss.ops.windows import interpolation_matrix, stitching_matrix
from mmseg_tfovss.profiling.pretend import PRETEND, pretend_device


def test_a_constant_is_copied_to_a_device_once():
    with pretend_device() as device:
        found = [constant((0.5, 0.25), torch.float32, PRETEND) for _ in range(2)]
        assert found[0] is found[1]
        assert found[0].near.tolist() == [0.5, 0.25]
    assert len(device.syncs) <= 1


def test_doubles_are_made_where_they_are_needed():
    assert home_of_doubles(None) == torch.device("cpu")
    with pretend_device() as device:
        constants.home_of_doubles.cache_clear()
        assert home_of_doubles(PRETEND) == PRETEND
        assert interpolation_matrix(2, 4, PRETEND).device == PRETEND
        assert device.syncs == []


def test_or_on_the_cpu_for_a_device_without_them(monkeypatch):
    """As Apple's GPUs are."""
    expected = stitching_matrix(10, (0, 4), 6, (1, 1), 4, 12, direct=False)
    empty = torch.empty

    def refuse(*size, dtype=None, device=None):
        if dtype == torch.float64 and device == PRETEND:
            raise TypeError("the MPS framework doesn't support float64")
        return empty(*size, dtype=dtype, device=device)

    with pretend_device():
        constants.home_of_doubles.cache_clear()
        stitching_matrix.cache_clear()
        monkeypatch.setattr(torch, "empty", refuse)
        assert home_of_doubles(PRETEND) == torch.device("cpu")
        found = stitching_matrix(10, (0, 4), 6, (1, 1), 4, 12, direct=False, device=PRETEND)
        assert found.device == PRETEND
        assert torch.equal(found.near, expected)
    constants.home_of_doubles.cache_clear()
    stitching_matrix.cache_clear()
