"""Steps one after the other, in the time that there is; what one finds is kept whatever becomes of the next."""

import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from mmseg_tfovss.cli import TRACEBACK_VARIABLE, sentence
from mmseg_tfovss.profiling.gpu_report.deadline import Deadline, clock_text
from mmseg_tfovss.profiling.gpu_report.entries import DONE, FAILED, LEFT_OUT, STOPPED, Entry, LeftOutError, Step

_LATE = 1.5  # times its share, after which a step shows what it takes at least; others end soon after their deadline
_logger = logging.getLogger(__name__)


def run_steps(
    steps: Sequence[Step],
    seconds: float,
    save: Callable[[Sequence[Entry]], None],
    clock: Callable[[], float] = time.perf_counter,
) -> list[Entry]:
    """Run steps, and save after each row that they find.

    Args:
        steps: in order. Each may take its share of the time that is left. It is left out when nothing is left, or less
            than such steps take at least, as far as those before it show.
        seconds: for all of them.
        save: gets all entries so far.
        clock: seconds since any moment.

    Returns:
        An entry per step.

    Raises:
        KeyboardInterrupt: handed on when everything so far is saved.
    """
    whole, started = Deadline(seconds, clock), clock()
    entries: list[Entry] = []
    for number, step in enumerate(steps):
        entry = Entry(step.section, step.name)
        entries.append(entry)
        rest = sum(other.weight for other in steps[number:])
        if whole.left() <= _least(entries):
            passed = f"only {clock_text(whole.left())} was left" if not whole.over() else "the time was up"
            entry.state, entry.error = LEFT_OUT, f"{passed}; --minutes gives more."
            save(entries)
            continue
        _show(number, steps, entry, clock() - started, whole.left())
        entry.allowed = whole.left() * step.weight / rest
        deadline = Deadline(entry.allowed, clock)
        with _kept(entry, lambda: save(entries)), _timed(entry, clock):
            for found in step.work(deadline):
                entry.add(found)
                save(entries)
    return entries


def _least(entries: Sequence[Entry]) -> float:
    """Seconds that the last step will take at least; 0 if nothing is known.

    A step ends at its deadline if it can. So one that took far longer shows what such steps take at least: the quickest
    of the same section, or else of the last section that has one.
    """
    *before, entry = entries
    late = [other for other in before if other.state == DONE and other.seconds > _LATE * other.allowed]
    alike = [other for other in late if other.section == entry.section]
    alike = alike or [other for other in late if other.section == late[-1].section]
    return min((other.seconds for other in alike), default=0.0)


@contextmanager
def _timed(entry: Entry, clock: Callable[[], float]) -> Iterator[None]:
    start = clock()
    try:
        yield
    finally:
        entry.seconds = clock() - start


@contextmanager
def _kept(entry: Entry, save: Callable[[], None]) -> Iterator[None]:
    """Note how a step ends, and save; errors of a step end nothing else."""
    try:
        yield
        entry.state = DONE
    except LeftOutError as reason:
        entry.state, entry.error = LEFT_OUT, sentence(reason)
    except Exception as error:
        entry.state, entry.error = FAILED, f"{type(error).__name__}: {sentence(error)}"
        _logger.warning("%s: %s failed: %s", entry.section, entry.name, entry.error)
        if os.environ.get(TRACEBACK_VARIABLE) == "1":
            traceback.print_exc()
    except BaseException:
        entry.state = STOPPED
        raise
    finally:
        save()


def _show(number: int, steps: Sequence[Step], entry: Entry, passed: float, most: float) -> None:
    """A line on stderr; the time left is that of the steps so far, but no more than there is."""
    before = sum(step.weight for step in steps[:number])
    rest = sum(step.weight for step in steps[number:])
    left = min(passed / before * rest, most) if before >= 1 else most
    sys.stderr.write(f"{number + 1}/{len(steps)} {entry.section}: {entry.name}, about {clock_text(left)} left\n")
    sys.stderr.flush()
