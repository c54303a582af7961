"""A list of runs on this machine, some at a time: each is a process with its own log, and none takes others down."""

import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import torch

from mmseg_tfovss.cluster.launch import Launch, Process, new_process
from mmseg_tfovss.cluster.run_list import PlannedRun
from mmseg_tfovss.cores import cores
from mmseg_tfovss.engine.signals import StopSignals

LOG_NAME = "local.out"
_LOOK_EVERY = 0.2  # seconds
_PATIENCE = 60.0  # seconds for writing a state
_TAIL = 20_000  # bytes of a log in which the reason of a failure is looked for


@dataclass(frozen=True)
class Failure:
    """A run that has ended without success.

    Attributes:
        name: of the run.
        reason: its own words, or its exit code.
        log: where it says more.
    """

    name: str
    reason: str
    log: Path


class Ended(NamedTuple):
    """A run that has ended, and how far the list is.

    Attributes:
        run: which one.
        seconds: that it took.
        reason: why it has failed; None: it has not.
        done: runs that have ended.
        total: runs of the list.
        left: seconds until all have ended, as far as can be told.
    """

    run: PlannedRun
    seconds: float
    reason: str | None
    done: int
    total: int
    left: float | None


@dataclass(frozen=True)
class _Child:
    run: PlannedRun
    process: Process
    started: float
    offset: int  # of its lines in the log

    @property
    def log(self) -> Path:
        return self.run.folder / LOG_NAME


class RunningList:
    """Works through runs.

    Args:
        runs: in this order.
        command: makes the command line of a run.
        processes: at a time.
        say: gets the lines that tell of progress.
        gpus: each of the processes at a time gets one, in turn; empty: the machine has none.
        launch: starts a command in a session of its own; default: as a new process.
        lines: what is said when a run has ended; default: a line per run.
    """

    def __init__(
        self,
        runs: Sequence[PlannedRun],
        command: Callable[[PlannedRun], Sequence[str]],
        processes: int,
        say: Callable[[str], None],
        gpus: Sequence[str] = (),
        launch: Launch | None = None,
        lines: Callable[[Ended], Sequence[str]] | None = None,
    ) -> None:
        if processes < 1:
            raise ValueError(f"--local must be at least 1, but got {processes}.")
        self._runs, self._command, self._say = list(runs), command, say
        self._launch, self._lines = launch or new_process, lines or run_line
        self._environments = [_environment(slot, processes, gpus) for slot in range(processes)]
        self._waiting = deque(runs)
        self._active: dict[int, _Child] = {}  # by slot
        self._busy: dict[str, float] = {}  # seconds of runs that have ended
        self._failures: list[Failure] = []

    def work(self) -> list[Failure]:
        """Run everything.

        Returns:
            What has failed.

        Raises:
            KeyboardInterrupt: Ctrl-C, or a closed terminal; the runs were told, and had time to write their states.
            StoppedError: the same for SIGTERM, SIGUSR1 and SIGUSR2.
        """
        with StopSignals() as signals, _hang_up_interrupts():
            try:
                while self._waiting or self._active:
                    self._start()
                    time.sleep(_LOOK_EVERY)
                    signals.check()
                    self._collect()
            finally:
                if self._active:
                    self._say(f"Stopping {len(self._active)} runs; each saves its state.")
                    _stop(list(self._active.values()))
        return self._failures

    def _start(self) -> None:
        for slot, environment in enumerate(self._environments):
            if slot in self._active or not self._waiting:
                continue
            run = self._waiting.popleft()
            try:
                self._active[slot] = _start(run, self._command(run), environment, self._launch)
            except OSError as error:
                self._note(run, 0.0, f"{error.filename}: {error.strerror}")

    def _collect(self) -> None:
        for slot, child in list(self._active.items()):
            code = child.process.poll()
            if code is not None:
                del self._active[slot]
                self._note(child.run, time.monotonic() - child.started, _reason(child, code) if code else None)

    def _note(self, run: PlannedRun, seconds: float, reason: str | None) -> None:
        self._busy[run.name] = seconds
        if reason is not None:
            self._failures.append(Failure(run.name, reason, run.folder / LOG_NAME))
        ended = Ended(run, seconds, reason, len(self._busy), len(self._runs), self._seconds_left())
        for line in self._lines(ended):
            self._say(line)

    def _seconds_left(self) -> float | None:
        """From the speed of the runs that have succeeded; None when there is nothing to go by, or nothing left."""
        failed = {failure.name for failure in self._failures}
        done = [run for run in self._runs if run.name in self._busy and run.name not in failed]
        ahead = [run for run in self._runs if run.name not in self._busy]
        if not done or not ahead:
            return None
        finite = all(run.cost < float("inf") for run in self._runs)
        work, pending = (sum(run.cost if finite else 1.0 for run in part) for part in (done, ahead))
        now = time.monotonic()
        spent = sum(now - child.started for child in self._active.values())
        seconds = pending / work * sum(self._busy[run.name] for run in done) - spent
        return max(seconds, 0.0) / min(len(self._environments), len(ahead))


def run_line(ended: Ended) -> list[str]:
    """``[ 3/40] sclip_vit-pocket_pocket_all: finished in 0:00:12; 0:03:20 left``."""
    outcome = "finished in" if ended.reason is None else "FAILED after"
    return [f"{progress(ended.done, ended.total)} {ended.run.name}: {outcome} {clock(ended.seconds)}{rest(ended.left)}"]


def progress(done: int, total: int) -> str:
    """``[ 3/40]``."""
    return f"[{done:{len(str(total))}}/{total}]"


def rest(left: float | None) -> str:
    """The end of a line: ``; 0:03:20 left``, or nothing."""
    return f"; {clock(left)} left" if left is not None else ""


def visible_gpus() -> list[str]:
    """GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    count = torch.cuda.device_count()
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return (chosen.split(",") if chosen else [str(index) for index in range(count)])[:count]


def clock(seconds: float) -> str:
    """Hours, minutes and seconds: ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def _environment(slot: int, processes: int, gpus: Sequence[str]) -> dict[str, str]:
    """A share of the machine: a GPU, and cores unless the user has said how many."""
    share = max(cores() // processes, 1)
    environment: Mapping[str, str] = {"OMP_NUM_THREADS": str(share), **os.environ}
    return {**environment, **({"CUDA_VISIBLE_DEVICES": gpus[slot % len(gpus)]} if gpus else {})}


def _start(run: PlannedRun, command: Sequence[str], environment: Mapping[str, str], launch: Launch) -> _Child:
    run.folder.mkdir(parents=True, exist_ok=True)
    with (run.folder / LOG_NAME).open("ab") as log:
        offset = log.tell()
        process = launch(command, log, environment)
    return _Child(run, process, time.monotonic(), offset)


def _reason(child: _Child, code: int) -> str:
    """The last ``error:`` line of the log, or its last line, and how the process has ended."""
    end = f"exit code {code}" if code > 0 else f"ended by {signal.Signals(-code).name}"
    with child.log.open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        log.seek(max(child.offset, size - _TAIL))
        lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("error: ")] or lines
    return f"{told[-1].removeprefix('error: ')} ({end})" if told else end


def _stop(children: Sequence[_Child]) -> None:
    """Ask the processes to end, wait for their states, and end what is left; a second Ctrl-C does not wait."""
    deadline = time.monotonic() + _PATIENCE
    try:
        for child in children:
            child.process.terminate()
        for child in children:
            child.process.wait(max(deadline - time.monotonic(), 0.0))
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        pass
    finally:
        for child in children:
            with suppress(ProcessLookupError):
                os.killpg(child.process.pid, signal.SIGKILL)  # with its loading processes
            child.process.wait()


@contextmanager
def _hang_up_interrupts() -> Iterator[None]:
    """A closed terminal is like Ctrl-C, for the children do not notice it; under nohup it stays ignored."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before: Any = signal.getsignal(signal.SIGHUP)
    if before is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
