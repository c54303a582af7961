"""Clocks and the high-water mark of memory, for a benchmark."""

import ctypes
import gc
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch

from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.ops.canvas import ChannelCanvas, ComputedCanvas

_CLEAR_REFS = Path("/proc/self/clear_refs")


class Clock:
    """Laps in seconds; waits for the GPU before and after each."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.laps: dict[str, float] = {}
        self._last = self._now()

    def lap(self, name: str) -> None:
        """Note the time since the last lap, or since the beginning."""
        now = self._now()
        self.laps[name] = now - self._last
        self._last = now

    def _now(self) -> float:
        wait_for(self.device)
        return time.perf_counter()


def wait_for(device: torch.device) -> None:
    """Wait until a device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class PeakMemory:
    """Highest memory since creation, above what was in use then, in MiB: GPU allocations or resident memory (Linux)."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_allocated(device) / 2**20
        else:
            self._before = float("nan")  # "nan" is reported where Linux's counters are missing or closed
            if not os.access(_CLEAR_REFS, os.W_OK):
                return
            gc.collect()
            ctypes.CDLL(None).malloc_trim(0)  # hands back what earlier models have left: it is not reused unseen
            _CLEAR_REFS.write_text("5")  # resets VmHWM
            self._before = _status_mb("VmRSS")

    def megabytes(self) -> float:
        """The difference so far."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20 - self._before
        return float("nan") if math.isnan(self._before) else _status_mb("VmHWM") - self._before


def _status_mb(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 2**10


class TimedSteps:
    """Have the methods named in ``model.timed_steps`` note their seconds, also while what they return is iterated."""

    def __init__(self, model: OpenVocabSegmentor, device: torch.device) -> None:
        self.passes: list[dict[str, float]] = []
        self._model, self._device = model, device
        for name in model.timed_steps:
            owner, attribute = self._place(name)
            object.__setattr__(owner, attribute, self._timed(name, getattr(owner, attribute)))

    def start(self) -> None:
        """A new pass begins."""
        self.passes.append(dict.fromkeys(self._model.timed_steps, 0.0))

    def close(self) -> None:
        """Give the model its own methods back."""
        for name in self._model.timed_steps:
            object.__delattr__(*self._place(name))

    def _place(self, name: str) -> tuple[Any, str]:
        """The object that has a step, by the step's dotted name, and the name there."""
        owner, _, attribute = name.rpartition(".")
        return (attrgetter(owner)(self._model) if owner else self._model), attribute

    def _timed(self, name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: object, **kwargs: object) -> Any:  # noqa: ANN401 - what the step returns
            with self._watch(name):
                result = step(*args, **kwargs)
            if isinstance(result, ComputedCanvas):
                made = result
                return replace(made, make=lambda: self._iterate(name, iter(made.make())))
            if isinstance(result, ChannelCanvas):
                return replace(result, compute=self._timed(name, result.compute))
            return self._iterate(name, result) if isinstance(result, Iterator) else result

        return call

    def _iterate(self, name: str, items: Iterator[Any]) -> Iterator[Any]:
        end = object()
        while True:
            with self._watch(name):
                item = next(items, end)
            if item is end:
                return
            yield item

    @contextmanager
    def _watch(self, name: str) -> Iterator[None]:
        clock = Clock(self._device)
        yield
        clock.lap(name)
        self.passes[-1][name] += clock.laps[name]
