"""Configs that cannot be measured do not keep others from it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from mmengine.config import Config

from mmseg_tfovss.cli import sentence
from mmseg_tfovss.downloads.needs import needs_of

_USER_ERRORS = (ValueError, OSError, torch.OutOfMemoryError)


def check_files(configs: Sequence[Config]) -> None:
    """Look for the files that configs name, before the first one is measured.

    Raises:
        FileNotFoundError: weights, masks or another file that is not there.
        ValueError: a tag that open_clip does not know.
    """
    for config in configs:
        for need in needs_of(config):
            if need.path and not need.path.exists():
                raise FileNotFoundError(
                    f"{config.run_name}: {need.option}={need.path} does not exist: set {need.option} to an existing"
                    " file, or leave this config out."
                )


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
