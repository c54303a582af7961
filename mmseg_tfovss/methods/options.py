"""Checks of methods' options, one sentence each."""

from collections.abc import Collection


def check_choice(name: str, value: object, valid: Collection[object]) -> None:
    """Raise ValueError unless ``model.<name>`` is one of the valid values."""
    if value not in valid:
        raise ValueError(f"model.{name} must be one of {list(valid)}, but got {value!r}.")
