"""Signals that end a run in order."""

import signal
import threading
from types import FrameType
from typing import Self

# What a scheduler sends before it takes a machine away: slurm SIGTERM, or what --signal says; submitit SIGUSR2.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class StoppedError(Exception):
    """A signal has ended the run, and its state is kept.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """As shells report it: 143 for SIGTERM, 138 for SIGUSR1, 140 for SIGUSR2 (Linux)."""
        return 128 + self.number

    def __str__(self) -> str:
        """Name the signal."""
        return f"stopped by {signal.Signals(self.number).name}"


class StopSignals:
    """Inside the block, stop signals are noted instead of ending the process; :meth:`check` then raises."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # others may not
            self._before = {number: signal.signal(number, self._note) for number in STOP_SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def check(self) -> None:
        """Raise StoppedError if a signal has come."""
        if self.received is not None:
            raise StoppedError(self.received)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or number
