"""Progress of a test run with the time that is left: a bar in a terminal, lines in a log file."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mmseg_tfovss.engine.batches import FixedBatches
from mmseg_tfovss.plain import printable
from mmseg_tfovss.registry import HOOKS

_LINES_PER_RUN = 10


@HOOKS.register_module()
class ProgressHook(Hook):
    """Show how many batches are done and when the rest will be, on the main process.

    A :class:`mmseg_tfovss.engine.ResumableTestLoop` counts those of earlier sessions and of all processes.
    """

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._started = 0.0
        self._label = ""

    def before_test(self, runner: Runner) -> None:
        """Start the clock, and the bar if somebody watches."""
        self._started = time.perf_counter()
        self._label = printable(Path(runner.cfg.filename or "test").stem)
        if is_main_process() and sys.stderr.isatty():
            columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
            clocks = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
            self._bar = Progress(*columns, *clocks, console=Console(stderr=True), transient=True)
            earlier, rest = _work(runner)
            self._bar.add_task(self._label, total=earlier + rest, completed=earlier)
            self._bar.start()

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict[str, Any] | None = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Move on by one batch."""
        if not is_main_process():
            return
        (earlier, rest), own = _work(runner), len(runner.test_dataloader)
        before, done = (earlier + rest * number // own for number in (batch_idx, batch_idx + 1))
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done)
            return
        total = earlier + rest
        if done * _LINES_PER_RUN // total > before * _LINES_PER_RUN // total:
            left = (time.perf_counter() - self._started) / (done - earlier) * (total - done)
            sys.stderr.write(f"{self._label}: {done}/{total} batches, {_clock(left)} left\n")
            sys.stderr.flush()

    def after_test(self, runner: Runner) -> None:
        """Take the bar away."""
        self.close()

    def close(self) -> None:
        """Take the bar away, also after an error."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _work(runner: Runner) -> tuple[int, int]:
    """Batches of earlier sessions, and of this one over all processes."""
    loop: Any = getattr(runner, "test_loop", None)
    if isinstance(getattr(loop, "batches", None), FixedBatches):
        return loop.earlier_batches, len(loop.batches.undone)
    return 0, len(runner.test_dataloader)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
