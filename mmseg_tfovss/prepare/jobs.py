"""Write many files in several processes: each one complete or not at all, and in bounded memory."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mmseg_tfovss.whole_file import SCRATCH_NAME, whole_file

_JOBS_PER_WORKER = 3  # in flight: one at work, the others so that nobody waits for the next
_SCRATCH_AGE = 3600.0  # seconds after which nobody can be writing to one any more


@dataclass(frozen=True)
class Job:
    """A file to be written.

    Attributes:
        target: where.
        source: where its content comes from, for messages, e.g. ``a.zip: val2017/1.png``.
        content: bytes of the source.
        convert: makes the target's bytes of the source's (a ValueError names what is wrong with them); None if they
            are the same. Other processes must be able to import it: a module's function, or a partial of one.
    """

    target: Path
    source: str
    content: bytes
    convert: Callable[[bytes], bytes] | None = None


def run_jobs(jobs: Iterable[Job], *, total: int, workers: int, title: str) -> int:
    """Write the files of all jobs, with a progress bar if stderr is a terminal.

    After an error or an interruption the finished files stay, and no other file is half there.

    Args:
        jobs: drawn as they are needed, so that only a few contents per worker are in memory.
        total: their number, for the progress bar.
        workers: number of processes; with 1 it is this one.
        title: what is written, for the progress bar.

    Returns:
        How many files were written.

    Raises:
        ValueError: `workers` is no positive integer, or a job's content cannot be converted.
        OSError: a file cannot be written, or a process was killed.
    """
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise ValueError(f"workers must be a positive integer, but got {workers!r}.")
    written = 0
    # The processes begin before the bar does: a fork copies no threads, but the locks that they hold.
    with _writer(workers) as write, _progress() as bar:
        task = bar.add_task(title, total=total)
        for _ in write(jobs):
            written += 1
            bar.advance(task)
    return written


def remove_leftovers(folders: Iterable[Path]) -> int:
    """Delete what killed runs had begun to write, where nothing was written for an hour.

    Args:
        folders: where such runs wrote; the folders in them are not searched, and those that do not exist are skipped.

    Returns:
        How many files were deleted.
    """
    oldest = time.time() - _SCRATCH_AGE
    stale = [file for folder in folders if folder.is_dir() for file in folder.iterdir() if _is_stale(file, oldest)]
    for file in stale:
        file.unlink(missing_ok=True)
    return len(stale)


def _is_stale(file: Path, oldest: float) -> bool:
    if not SCRATCH_NAME.fullmatch(file.name) or file.is_symlink() or not file.is_file():
        return False
    return file.stat().st_mtime < oldest


def _write(job: Job) -> None:
    content = job.content
    if job.convert is not None:
        try:
            content = job.convert(content)
        except (ValueError, OSError) as error:  # Pillow's errors are OSErrors
            raise ValueError(f"{job.source}: {error}") from error
    with whole_file(job.target) as scratch:
        scratch.write_bytes(content)


@contextmanager
def _writer(workers: int) -> Iterator[Callable[[Iterable[Job]], Iterator[None]]]:
    if workers == 1:
        yield partial(map, _write)
        return
    # A fork has imported everything already. Elsewhere it is not safe, and the platform's own way is taken.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
    pool = ProcessPoolExecutor(workers, context, _prepare_worker)
    try:
        pool.submit(os.getpid).result()  # all forks happen at the first submission
        yield partial(_write_in, pool, workers)
    finally:
        pool.shutdown(cancel_futures=True)


def _write_in(pool: Executor, workers: int, jobs: Iterable[Job]) -> Iterator[None]:
    """Yield once for each file that has been written."""
    waiting: dict[Future[None], str] = {}
    rest = iter(jobs)
    try:
        while True:
            for job in islice(rest, workers * _JOBS_PER_WORKER - len(waiting)):
                waiting[pool.submit(_write, job)] = job.source
            if not waiting:
                return
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                future.result()
                del waiting[future]
                yield
    except BrokenProcessPool:
        near = "".join(f" near {source}" for source in islice(waiting.values(), 1))
        raise ChildProcessError(
            f"A worker process was killed{near}, most often because memory ran out: run again with fewer workers (what"
            " is finished stays)."
        ) from None


def _prepare_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one decides what happens
    threading.Thread(target=_end_with_parent, daemon=True).start()
    opencv = sys.modules.get("cv2")
    if opencv is not None:
        opencv.setNumThreads(0)  # none but this one; 1 hangs if OpenCV had threads before the fork


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    clocks = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    console = Console(stderr=True)
    return Progress(*columns, *clocks, console=console, transient=True, disable=not sys.stderr.isatty())
