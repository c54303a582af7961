"""Checks of values that lie on a device, without a wait for each: their flags are read together, once, at the end.

A GPU works through what it is given while Python gives it more. Whoever reads a value makes both wait for each other:
the host until the GPU has come that far, and then the GPU until it is given something again.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from functools import partial

import torch
from torch import Tensor

_Error = Callable[[], Exception | None]
_Change = Callable[[Exception], Exception]
_waiting: ContextVar[list[tuple[Tensor, _Error]] | None] = ContextVar("waiting", default=None)


def refuse_if(wrong: Tensor, error: Callable[[], Exception]) -> None:
    """Raise an error if a flag is set: now, or at the end of the :func:`checked_at_the_end` that this is called in.

    Args:
        wrong: one bool, on any device.
        error: makes the exception; called only if the flag is set.
    """
    _when(wrong, error)


def tell_if(flag: Tensor, tell: Callable[[], None]) -> None:
    """Call a function if a flag is set, at the same time as :func:`refuse_if` would raise."""
    _when(flag, tell)


def _when(flag: Tensor, error: _Error) -> None:
    waiting = _waiting.get()
    if waiting is not None:
        waiting.append((flag, error))
    elif bool(flag):
        _raise(error)


def _raise(error: _Error) -> None:
    found = error()
    if found is not None:
        raise found


def is_known(flag: Tensor) -> bool:
    """Whether a flag is set and the host can see it without waiting, so that work may be left out.

    On a device this is always False, and the work is done: its result must be the same.
    """
    return flag.is_cpu and bool(flag)


def _same(error: Exception) -> Exception:
    return error


@contextmanager
def checked_at_the_end(change: _Change = _same) -> Iterator[None]:
    """Read the flags of all :func:`refuse_if` in this block at its end, and raise the first error.

    If something else fails in the block, the flags come first: values that are no numbers may be why. In a block within
    another one, the outer one reads. Threads that are started in it check by themselves.

    Args:
        change: says the errors of this block in better words.
    """
    found: list[tuple[Tensor, _Error]] = []
    token = _waiting.set(found)
    broken: Exception | None = None
    try:
        yield
    except Exception as error:
        broken = error
    finally:
        _waiting.reset(token)
    _settle([(flag, partial(_make, error, change)) for flag, error in found], after_failure=broken is not None)
    if broken is not None:
        better = change(broken)
        if better is broken:
            raise broken
        raise better from broken


def _settle(found: list[tuple[Tensor, _Error]], *, after_failure: bool) -> None:
    """Leave the flags to the block around this one, or read them."""
    outer = _waiting.get()
    if outer is not None:
        outer += found
        return
    # A GPU that has failed tells no flags, and the failure itself is what matters.
    with suppress(RuntimeError) if after_failure else nullcontext():
        found = [pair for pair, is_set in zip(found, _read([flag for flag, _ in found]), strict=True) if is_set]
        for _, error in found:
            _raise(error)


def _make(error: _Error, change: _Change) -> Exception | None:
    first = error()
    if first is None:
        return None
    better = change(first)
    if better is not first:
        better.__cause__ = first
    return better


def _read(flags: list[Tensor]) -> list[bool]:
    """Their values, with one wait for each device."""
    by_device: dict[torch.device, list[int]] = defaultdict(list)
    for index, flag in enumerate(flags):
        by_device[flag.device].append(index)
    values = [False] * len(flags)
    for indices in by_device.values():
        for index, value in zip(indices, torch.stack([flags[index] for index in indices]).tolist(), strict=True):
            values[index] = value
    return values
