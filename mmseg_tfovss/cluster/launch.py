"""Ways to start a command: as a new process, or as a fork of this one, which has imported and read things already."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.context import ForkProcess
from typing import BinaryIO, Protocol

import torch

from mmseg_tfovss.engine.signals import STOP_SIGNALS

Main = Callable[[Sequence[str]], int | None]


class Process(Protocol):
    """A process that was started, as ``subprocess.Popen`` has it."""

    @property
    def pid(self) -> int:
        """Its number, which is that of its session too."""

    def poll(self) -> int | None:
        """Its exit code, or None while it runs; below 0: the signal that has ended it."""

    def terminate(self) -> None:
        """Send SIGTERM."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended, or raise ``subprocess.TimeoutExpired``."""


Launch = Callable[[Sequence[str], BinaryIO, Mapping[str, str]], Process]  # of a command, its log and its environment


def new_process(command: Sequence[str], log: BinaryIO, environment: Mapping[str, str]) -> Process:
    """Start a command in a session of its own: Ctrl-C goes to this process only, which tells the others in order."""
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def fork_of(main: Main) -> Launch:
    """What starts a command as a fork of this process, also in a session of its own.

    A fork has this process's modules, and shares its memory until one of them changes it. It has the usual signal
    handlers, and writes to its log only. Linux only; and not where there are GPUs, for a process that has looked for
    them has forks that cannot use them.

    Args:
        main: runs a command, and returns its exit code or exits with it.
    """

    def launch(command: Sequence[str], log: BinaryIO, environment: Mapping[str, str]) -> Process:
        arguments = (main, command, log.fileno(), environment)
        process = multiprocessing.get_context("fork").Process(target=_work, args=arguments)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads, such as idle ones of a BLAS
            process.start()
        return _Forked(process)

    return launch


def share_memory() -> None:
    """Before forks are started: no garbage collection looks through what there is now, here or in a fork."""
    gc.collect()
    gc.freeze()


class _Forked:
    """A fork, with the methods of :class:`Process`."""

    def __init__(self, process: ForkProcess) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def terminate(self) -> None:
        self._process.terminate()

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
        return self._process.exitcode


def _work(main: Main, command: Sequence[str], log: int, environment: Mapping[str, str]) -> None:
    """In the fork: be what a new process would be, and run the command."""
    os.setsid()
    for number in (*STOP_SIGNALS, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (1, 2):
        os.dup2(log, stream)
    sys.stdout, sys.stderr = (os.fdopen(stream, "w", buffering=1, closefd=False) for stream in (1, 2))
    os.environ.update(environment)
    if environment.get("OMP_NUM_THREADS", "").isdigit():  # torch has read it when it was imported
        torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))
    sys.exit(main(command))
