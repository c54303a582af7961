"""Configs that cannot be measured do not keep others from it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mmseg_tfovss.cli import sentence

_USER_ERRORS = (ValueError, OSError, torch.OutOfMemoryError)


class Failures:
    """What went wrong, config by config.

    Args:
        total: configs.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._found: list[tuple[str, Exception]] = []

    @contextmanager
    def noted(self, name: str) -> Iterator[None]:
        """Measure a config in this block; what the user can mend ends the block only."""
        try:
            yield
        except _USER_ERRORS as error:
            self._found.append((name, error))

    def tell(self) -> None:
        """When all configs have had their turn, raise what was noted.

        Raises:
            ValueError: the configs that failed, and why. The error itself, if there is one config in all.
        """
        if not self._found:
            return
        (_, first), *_ = self._found
        if self._total == 1:
            raise first
        told = " ".join(f"{name}: {_reason(error)}" for name, error in self._found)
        raise ValueError(f"{len(self._found)} of {self._total} configs could not be measured. {told}") from first


def _reason(error: Exception) -> str:
    return "Memory is full." if isinstance(error, torch.OutOfMemoryError) else sentence(error)
