"""Sums over images that survive an interruption."""

import pickle
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Self

import torch

from mmseg_tfovss.engine.progress import ProgressHook
from mmseg_tfovss.studies.discriminability.abnormal_tokens import Sums
from mmseg_tfovss.whole_file import whole_file

_SAVE_EVERY = 20  # images


class State:
    """Running sums and the number of images in them, written every few images.

    Args:
        path: the file.
        fingerprint: says what is summed up.
        images: in the sums.
        sums: by name.
    """

    def __init__(self, path: Path, fingerprint: str, images: int = 0, sums: Sums | None = None) -> None:
        self.path, self.fingerprint, self.images = path, fingerprint, images
        self.sums: Sums = sums or {}

    @classmethod
    def resume(cls, path: Path, fingerprint: str) -> Self:
        """What an interrupted run has left, or nothing yet.

        Raises:
            ValueError: the file is of another analysis, or cannot be read.
        """
        if not path.is_file():
            return cls(path, fingerprint)
        try:
            kept = torch.load(path, map_location="cpu", weights_only=True)
            state = cls(path, kept["fingerprint"], kept["images"], kept["sums"])
        except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is damaged: delete it to start again.") from error
        if state.fingerprint != fingerprint:
            raise ValueError(
                f"{path} is an unfinished analysis of another config, other weights or other options: delete it to"
                " start again, or choose another --out."
            )
        return state

    def add(self, sums: Sums) -> None:
        """Add one image's part."""
        self.sums = {name: self.sums[name] + value if self.sums else value for name, value in sums.items()}
        self.images += 1
        if self.images % _SAVE_EVERY == 0:
            with whole_file(self.path) as scratch:
                torch.save({"fingerprint": self.fingerprint, "images": self.images, "sums": self.sums}, scratch)

    def forget(self) -> None:
        """Remove the file: the result has been written."""
        self.path.unlink(missing_ok=True)


def count_down(items: Iterable[Sums], total: int, name: str) -> Iterator[Sums]:
    """Hand items through, with tfovss test's bar or lines."""
    hook = ProgressHook()
    runner = SimpleNamespace(cfg=SimpleNamespace(filename=name), test_dataloader=range(total))
    hook.before_test(runner)
    try:
        for number, item in enumerate(items):
            yield item
            hook.after_test_iter(runner, number)
    finally:
        hook.close()
