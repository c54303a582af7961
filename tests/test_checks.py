"""Checks of single values: what is a number and what is not, and 1 is not True."""

import numpy as np
import pytest

from mmseg_tfovss.checks import check_count, check_option, check_positive, check_range, is_number


@pytest.mark.parametrize("value", [0, 1.5, -3, np.float32(2), np.int64(2)])
def test_numbers(value):
    assert is_number(value)
    assert is_number(value, whole=True) == (not isinstance(value, float | np.float32))


@pytest.mark.parametrize("value", [True, "1", None, float("nan"), float("inf"), [1], 1j])
def test_what_is_no_number(value):
    assert not is_number(value)
    with pytest.raises(ValueError, match="a must be positive and a number, but got"):
        check_positive(a=value)
    with pytest.raises(ValueError, match="a must be positive and a whole number, but got"):
        check_count(a=value)
    with pytest.raises(ValueError, match=r"a must lie in \[0, 2\], but got"):
        check_range("a", value, 0, 2)


def test_choices_have_their_kind():
    for value in (True, False, None, 3, "x"):
        check_option("a", value, (None, True, False, 3, "x"))
    for value, valid in (
        (1, (True, False)),
        (0, (None, False)),
        (True, range(3)),
        ([], ("x",)),
        ({}, (None,)),
        (3.0, (3,)),
    ):
        with pytest.raises(ValueError, match="a must be one of"):
            check_option("a", value, valid)
