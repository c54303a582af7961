"""Processes for work on untrusted bytes: one that dies, hangs or takes too much memory costs one item, not the run."""

import faulthandler
import multiprocessing
import os
import pickle
import resource
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Generic, TypeVar

from rich.filesize import decimal

SECONDS = 60.0  # that the conversion of one file may take; the largest official ones need one or two
MEMORY = 2_000_000_000  # bytes that a process may take beyond those that it begins with
_GRACE = 5.0  # seconds in which a process may finish its file when the run ends
_PAGE_COUNTS = Path("/proc/self/statm")

Item = TypeVar("Item")


class LostWorkerError(Exception):
    """The process that worked on an item died; the message is the end of a sentence about the item."""


class Workers(Generic[Item]):
    """Processes that work on one item at a time each, so that it is known which item killed one; it is replaced then.

    A process begins when it is first needed, and works on many items.

    Args:
        work: of one item. Other processes must be able to import it.
        count: number of processes.
    """

    def __init__(self, work: Callable[[Item], None], count: int) -> None:
        self._work = work
        self._count = count
        self._idle: list[_Worker[Item]] = []
        self._busy: dict[Connection, _Worker[Item]] = {}

    def run(self, items: Iterable[Item]) -> Iterator[tuple[Item, Exception | None]]:
        """Work on all items.

        Args:
            items: drawn as they are needed: there is one more in memory than there are processes. None is no item.

        Yields:
            Each item as it is finished, and what went wrong: what the work raised, or a `LostWorkerError`.
        """
        rest = iter(items)
        again: list[Item] = []
        suspects: set[int] = set()
        upcoming: Item | None = None
        while True:
            if upcoming is None:
                upcoming = again.pop() if again else next(rest, None)
            if upcoming is not None and len(self._busy) < self._count:
                self._give(upcoming)
                upcoming = None
                continue
            if not self._busy:
                return
            for item, error in self._collect():
                # Whoever is killed from outside, e.g. because memory ran out, may be innocent, once.
                if isinstance(error, _KilledError) and id(item) not in suspects:
                    suspects.add(id(item))
                    again.append(item)
                else:
                    suspects.discard(id(item))
                    yield item, error

    def close(self) -> None:
        """Let every process finish the item at hand, for a few seconds."""
        everybody = [*self._idle, *self._busy.values()]
        for worker in everybody:
            worker.dismiss()
        deadline = time.monotonic() + _GRACE
        for worker in everybody:
            worker.end(deadline - time.monotonic())

    def _give(self, item: Item) -> None:
        worker = self._idle.pop() if self._idle else _Worker(self._work)
        worker.give(item)
        self._busy[worker.pipe] = worker

    def _collect(self) -> Iterator[tuple[Item, Exception | None]]:
        ready = wait(list(self._busy))
        for pipe in [pipe for pipe in self._busy if pipe in ready]:
            worker = self._busy.pop(pipe)
            item, error = worker.answer()
            if not isinstance(error, LostWorkerError):
                self._idle.append(worker)
            yield item, error


class _KilledError(LostWorkerError):
    """By somebody else than the item, perhaps."""


class _Worker(Generic[Item]):
    """One process, seen from the one that gives it work."""

    def __init__(self, work: Callable[[Item], None]) -> None:
        # A fork has imported everything already. Elsewhere it is not safe, and the platform's own way is taken.
        context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, work), daemon=True)
        self._process.start()
        theirs.close()  # now the process alone has it, and its death is the end of the pipe
        self._items: list[Item] = []

    def give(self, item: Item) -> None:
        self._items.append(item)
        with suppress(OSError):  # it died while it was idle; the answer tells
            self.pipe.send(item)

    def answer(self) -> tuple[Item, Exception | None]:
        """Wait for it; whoever died is gone for good."""
        item = self._items.pop()
        try:
            return item, pickle.loads(self.pipe.recv_bytes())
        except (EOFError, OSError):
            self._process.join()
            self.pipe.close()
            return item, _loss(self._process.exitcode or 0)

    def dismiss(self) -> None:
        with suppress(OSError):
            self.pipe.send(None)

    def end(self, seconds: float) -> None:
        self._process.join(max(0.0, seconds))
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _loss(code: int) -> LostWorkerError:
    if code == -signal.SIGKILL:
        return _KilledError(
            "its process was killed twice, most often because memory ran out: run again with fewer workers"
        )
    if code == -signal.SIGALRM:
        return LostWorkerError(f"its conversion takes longer than {SECONDS:g} seconds: the file is not an official one")
    if code < 0:
        name = f"signal {-code}, {signal.Signals(-code).name}"
        return LostWorkerError(f"it crashes the program that reads it ({name}): the file is damaged or hostile")
    return LostWorkerError(f"it ends the program that reads it (exit code {code}): the file is damaged or hostile")


@contextmanager
def limited() -> Iterator[None]:
    """End this process if the block takes longer than `SECONDS`, also inside a library that never returns.

    Raises:
        ValueError: the block needs more memory than `MEMORY`.
    """
    # The default action of this signal ends the process; a handler in Python would wait for the library.
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    except MemoryError:
        raise ValueError(f"its conversion needs more than {decimal(MEMORY)} of memory.") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _serve(pipe: Connection, work: Callable[[Item], None]) -> None:
    """The life of a process."""
    prepare_process()
    with suppress(EOFError):
        while (item := pipe.recv()) is not None:
            pipe.send_bytes(_attempt(work, item))


def _attempt(work: Callable[[Item], None], item: Item) -> bytes:
    """What went wrong, as it is sent."""
    try:
        work(item)
    except Exception as error:  # whatever it is, it is raised on the other side
        return pickle.dumps(error)
    return pickle.dumps(None)


def prepare_process() -> None:
    """What every process does first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one decides what happens
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    opencv = sys.modules.get("cv2")
    if opencv is not None:
        opencv.setNumThreads(0)  # none but this one; 1 hangs if OpenCV had threads before the fork
    warnings.simplefilter("ignore")  # what matters of damaged files is said in a sentence
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit_memory(MEMORY)


@contextmanager
def bounded(memory: int) -> Iterator[None]:
    """Let this process take so much more memory within the block, where the system can tell how much it has.

    Args:
        memory: bytes.

    Raises:
        MemoryError: the block needs more.
    """
    before = resource.getrlimit(resource.RLIMIT_AS)
    _limit_memory(memory)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _limit_memory(memory: int) -> None:
    if _PAGE_COUNTS.is_file():
        begun = int(_PAGE_COUNTS.read_text().split()[0]) * resource.getpagesize()
        limits = [limit for limit in resource.getrlimit(resource.RLIMIT_AS) if limit != resource.RLIM_INFINITY]
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (min([begun + memory, *limits]), most))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
