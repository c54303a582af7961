"""Ctrl-C, which ends the page at any time: an exception alone may be lost while libraries are imported."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    _Hook = Callable[["sys.UnraisableHookArgs"], object]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether the process has been told to end.

    Attributes:
        asked: by a signal.
    """

    def __init__(self) -> None:
        self.asked = False

    def check(self) -> None:
        """End now if that was asked for, and the exception was lost.

        Raises:
            KeyboardInterrupt: it was.
        """
        if self.asked:
            raise KeyboardInterrupt

    def take(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal, and interrupt what is running, as Python does by itself."""
        self.asked = True
        raise KeyboardInterrupt


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Let SIGINT and SIGTERM end the block.

    Python drops an exception that is raised in a destructor (``Exception ignored in ...``), and modules that are
    interrupted at their import may raise another one. The signal itself is remembered, to be asked for by
    :meth:`Stop.check`.

    Raises:
        KeyboardInterrupt: a signal came, and the block ended by any exception.
    """
    stop = Stop()
    before = {number: signal.signal(number, stop.take) for number in _SIGNALS}
    hook, sys.unraisablehook = sys.unraisablehook, _without_interrupts(sys.unraisablehook)
    try:
        yield stop
    except BaseException:
        stop.check()
        raise
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


def _without_interrupts(hook: "_Hook") -> "_Hook":
    """A hook that is silent about interrupts, which are remembered."""

    def told(lost: "sys.UnraisableHookArgs") -> None:
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            hook(lost)

    return told
