"""Checks of single values: numbers, ranges, choices. One sentence each, with the value's full name."""

import math
from collections.abc import Collection
from numbers import Integral, Real


def is_number(value: object, *, whole: bool = False) -> bool:
    """Whether a value is a finite number, or a whole one; True and False are none."""
    kind = Integral if whole else Real
    return isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)


def check_positive(**values: float) -> None:
    """Raise ValueError unless every value is a positive number."""
    for name, value in values.items():
        if not is_number(value) or not value > 0:
            raise ValueError(f"{name} must be positive and a number, but got {value!r}.")


def check_count(**values: int) -> None:
    """Raise ValueError unless every value is a whole number from 1 on."""
    for name, value in values.items():
        if not is_number(value, whole=True) or value < 1:
            raise ValueError(f"{name} must be positive and a whole number, but got {value!r}.")


def check_range(name: str, value: float, low: float, high: float, *, whole: bool = False) -> None:
    """Raise ValueError unless a value is a number (a whole one) in a closed range."""
    if not is_number(value, whole=whole) or not low <= value <= high:
        kind = " and be a whole number" if whole else ""
        raise ValueError(f"{name} must lie in [{low:g}, {high:g}]{kind}, but got {value!r}.")


def check_option(name: str, value: object, valid: Collection[object]) -> None:
    """Raise ValueError unless a value is one of the valid ones; 1 is not True."""
    if not any(type(value) is type(one) and value == one for one in valid):
        raise ValueError(f"{name} must be one of {list(valid)}, but got {value!r}.")
