"""The time that a step may take."""

import time
from collections.abc import Callable


class Deadline:
    """A moment by which something should be done.

    Args:
        seconds: from now.
        clock: seconds since any moment.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def left(self) -> float:
        """Seconds until then, 0 if it is over."""
        return max(0.0, self._end - self._clock())

    def over(self) -> bool:
        """Whether it has passed."""
        return self.left() == 0


def clock_text(seconds: float) -> str:
    """Minutes and seconds: ``3:07``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
