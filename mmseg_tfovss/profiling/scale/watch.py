"""What is seen of the measurement while it runs: a bar in a terminal, lines in a log file."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mmseg_tfovss.profiling.scale.points import Point, Sweeps

_START = 3.0  # what a new process takes, in the effort of one small image


def effort(point: Point) -> float:
    """About how long a point takes, beside others: only the time that is left depends on it."""
    return _START + point.batch * (1 + point.megapixels / 4 + point.words / 1000)


class Watch:
    """Tell which point is measured, and how long the rest will take.

    Args:
        sweeps: all points.
    """

    def __init__(self, sweeps: Sweeps) -> None:
        self.total = sum(effort(point) for point in sweeps)
        self.done, self._started = 0.0, time.perf_counter()
        columns = (TextColumn("{task.description}", markup=False), BarColumn())
        clocks = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
        self._bar = Progress(
            *columns, *clocks, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
        )
        self._task = self._bar.add_task("", total=self.total)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the bar in this block."""
        with self._bar:
            yield

    @contextmanager
    def at(self, point: Point) -> Iterator[None]:
        """A point is measured in this block."""
        height, width = point.size
        what = f"{width} x {height}, {point.words:,} words, batch {point.batch}"
        self._bar.update(self._task, description=what)
        yield
        self.done += effort(point)
        self._bar.update(self._task, completed=self.done)
        if self._bar.disable:
            left = (time.perf_counter() - self._started) / self.done * (self.total - self.done)
            sys.stderr.write(f"{what}: done, about {timedelta(seconds=round(left))} left\n")
            sys.stderr.flush()
