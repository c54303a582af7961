"""Write many files in several processes: each one complete or not at all, and in bounded memory."""

import errno
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mmseg_tfovss.prepare.workers import LostWorkerError, Workers, limited
from mmseg_tfovss.whole_file import SCRATCH_NAME, whole_file

MOST_FAILURES = 10  # after so many files that cannot be converted the archive is not worth more time
_SHOWN = 3  # of them are named
_REFRESH = 0.1  # seconds between two pictures of the progress bar
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
        link: file that the target shall be a symbolic link to, in place of a content. Where there are no such links,
            it is copied.
    """

    target: Path
    source: str
    content: bytes
    convert: Callable[[bytes], bytes] | None = None
    link: Path | None = None


class UnreadableError(ValueError):
    """Contents that cannot be converted, while all others were.

    Args:
        failures: a sentence each, which names the source.
    """

    def __init__(self, failures: Sequence[str]) -> None:
        self.failures = list(failures)
        super().__init__(self.failures)

    @property
    def many(self) -> bool:
        """Whether they were so many that the rest was not tried."""
        return len(self.failures) >= MOST_FAILURES

    def __str__(self) -> str:
        if len(self.failures) == 1:
            return self.failures[0]
        rest = "the rest was not tried" if self.many else "all others were made"
        shown = "; ".join(failure.rstrip(".") for failure in self.failures[:_SHOWN])
        more = f"; and {len(self.failures) - _SHOWN} more" if len(self.failures) > _SHOWN else ""
        return f"{len(self.failures)} files cannot be converted, and {rest}: {shown}{more}."


def run_jobs(jobs: Iterable[Job], *, total: int, workers: int, title: str) -> int:
    """Write the files of all jobs, with a progress bar if stderr is a terminal.

    Contents are converted in other processes: one that crashes, hangs, or takes too much memory costs that file only.
    A file that cannot be converted does not keep the others from being written, unless there are many. After an error
    or an interruption the finished files stay, and no other file is half there.

    Args:
        jobs: drawn as they are needed, so that only a few contents per worker are in memory.
        total: their number, for the progress bar.
        workers: number of processes; with 1, what needs no conversion is written by this one.
        title: what is written, for the progress bar.

    Returns:
        How many files were written.

    Raises:
        ValueError: `workers` is no positive integer.
        UnreadableError: contents that cannot be converted.
        OSError: a file cannot be written.
    """
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise ValueError(f"workers must be a positive integer, but got {workers!r}.")
    written = 0
    failures: list[str] = []
    shown = 0.0
    with _writer(workers) as write, _progress() as bar:
        task = bar.add_task(title, total=total)
        for job, error in write(jobs):
            failures += _failures(job, error)
            written += error is None
            bar.advance(task)
            if time.monotonic() - shown > _REFRESH:
                bar.refresh()
                shown = time.monotonic()
            if len(failures) >= MOST_FAILURES:
                break
    if failures:
        raise UnreadableError(failures)
    return written


def _failures(job: Job, error: Exception | None) -> list[str]:
    """What is wrong with the job's content; an error of another kind is raised."""
    if isinstance(error, UnreadableError):
        return error.failures
    if isinstance(error, LostWorkerError):
        return [f"{job.source}: {error}."]
    if error is not None:
        raise error
    return []


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
    content = job.content if job.convert is None else _convert(job.convert, job)
    with whole_file(job.target) as scratch:
        if job.link is None or not _linked(scratch, job.link):
            scratch.write_bytes(content if job.link is None else job.link.read_bytes())


def _convert(convert: Callable[[bytes], bytes], job: Job) -> bytes:
    try:
        with limited():
            return convert(job.content)
    except (ValueError, OSError) as error:  # Pillow's errors are OSErrors
        raise UnreadableError([f"{job.source}: {_one_line(error)}"]) from error
    except Exception as error:  # untrusted bytes make libraries raise anything
        message = f"{job.source}: the file cannot be converted ({type(error).__name__}: {_one_line(error)})."
        raise UnreadableError([message]) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _linked(scratch: Path, source: Path) -> bool:
    """Whether this file system has symbolic links, and now one more."""
    try:
        scratch.symlink_to(source)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            return False
        raise
    return True


@contextmanager
def _writer(workers: int) -> Iterator[Callable[[Iterable[Job]], Iterator[tuple[Job, Exception | None]]]]:
    pool = Workers(_write, workers)
    try:
        yield pool.run if workers > 1 else partial(_write_alone, pool)
    finally:
        pool.close()


def _write_alone(pool: Workers[Job], jobs: Iterable[Job]) -> Iterator[tuple[Job, Exception | None]]:
    """With one worker, only conversions, which may crash, are another process's."""
    for job in jobs:
        if job.convert is None:
            _write(job)
            yield job, None
        else:
            yield from pool.run([job])


def _progress() -> Progress:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    clocks = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    console = Console(stderr=True)
    # No thread of the bar's own: a fork of a later process would copy no thread, but the locks that it holds.
    return Progress(
        *columns, *clocks, console=console, transient=True, auto_refresh=False, disable=not sys.stderr.isatty()
    )
