"""Start ``tfovss test`` in one process or several, as torchrun would."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmseg_tfovss
from mmseg_tfovss.profiling.gpu_report.deadline import Deadline
from mmseg_tfovss.profiling.gpu_report.entries import LeftOutError

CONFIG = "sclip_vit-pocket_pocket_all"
SCENES = 40
_MOST = 180.0  # seconds of a run, before it counts as hanging
_LOOK_EVERY = 0.2  # seconds
_PATIENCE = 5.0  # seconds, with a process whose peer has failed


@dataclass(frozen=True)
class Run:
    """How ``tfovss test`` is started.

    Attributes:
        folder: of the run's result and logs.
        processes: how many.
        backend: that they talk by; empty: of one process, or the usual one of the device.
        cards: numbers of the GPUs that they see, each process the next one; empty: they run on the CPU.
        scenes: images.
    """

    folder: Path
    processes: int = 1
    backend: str = ""
    cards: tuple[int, ...] = ()
    scenes: int = SCENES

    def command(self) -> list[str]:
        """The command line of each process."""
        options = [f"test_dataloader.dataset.subset={self.scenes}"]
        options += [f"env_cfg.dist_cfg.backend={self.backend}"] if self.cards and self.backend else []
        launcher = "pytorch" if self.processes > 1 else "none"
        start = [sys.executable, "-m", "mmseg_tfovss", "test", CONFIG, "--work-dir", str(self.folder)]
        return [*start, "--launcher", launcher, "--cfg-options", *options]

    def environment(self, rank: int, port: int) -> dict[str, str]:
        """Of one process, with the variables that torchrun sets.

        Processes that share a GPU have the same local rank: MMEngine takes it for the number of the GPU.
        """
        package = str(Path(mmseg_tfovss.__file__).parents[1])
        known = os.environ.get("PYTHONPATH")
        return {
            **os.environ,
            "PYTHONPATH": f"{package}{os.pathsep}{known}" if known else package,
            "CUDA_VISIBLE_DEVICES": ",".join(visible_cards(self.cards)),
            "RANK": str(rank),
            "WORLD_SIZE": str(self.processes),
            "LOCAL_RANK": str(rank % max(len(self.cards), 1)),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }


def visible_cards(cards: Sequence[int]) -> list[str]:
    """The names of GPUs for ``CUDA_VISIBLE_DEVICES`` of another process, by their numbers in this one."""
    names = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return [names[card] if names else str(card) for card in cards]


def result_of(run: Run, deadline: Deadline) -> tuple[dict[str, Any], float]:
    """What a run writes, and its seconds.

    Args:
        run: in a folder that is not there yet.
        deadline: at which it is ended.

    Raises:
        RuntimeError: it failed, with its last word, or it hangs.
        LeftOutError: the deadline came first.
    """
    run.folder.mkdir(parents=True)
    logs = [run.folder / f"process-{rank}.log" for rank in range(run.processes)]
    start = time.perf_counter()
    most = min(deadline.left(), _MOST)
    try:
        codes = _run_all(run, logs, most)
    except TimeoutError as error:
        if most < _MOST:
            raise LeftOutError(f"the time was up before {_processes(run)} had ended; --minutes gives more.") from error
        raise RuntimeError(f"The run took more than {most:.0f} seconds, and was ended.") from error
    if any(codes):
        raise RuntimeError(last_word("\n".join(log.read_text(errors="replace") for log in logs)))
    result: dict[str, Any] = json.loads((run.folder / "result.json").read_text())
    return result, time.perf_counter() - start


def _run_all(run: Run, logs: Sequence[Path], most: float) -> list[int]:
    """Exit codes; when one process fails, or time is up, the others are ended.

    Raises:
        TimeoutError: time is up.
    """
    port, processes = _free_port(), []
    try:
        for rank, log in enumerate(logs):
            processes.append(_start(run, rank, port, log))
        deadline = Deadline(most)
        while None in (codes := [process.poll() for process in processes]):
            if deadline.over():
                raise TimeoutError
            if any(codes):  # the others notice, or wait for ever
                time.sleep(min(_PATIENCE, deadline.left()))
                break
            time.sleep(_LOOK_EVERY)
    finally:
        for process in processes:
            _end(process)
    return [process.wait() for process in processes]


def _processes(run: Run) -> str:
    return "one process" if run.processes == 1 else f"{run.processes} processes over {run.backend}"


def _start(run: Run, rank: int, port: int, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            run.command(),
            env=run.environment(rank, port),
            cwd=run.folder.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # with its data loaders, so that they can be ended together
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def last_word(log: str) -> str:
    """Of the output of processes, the line that says best why they ended."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    for sign in ("Duplicate GPU", "error:", "Error:"):
        for line in reversed(lines):
            if sign in line:
                return line
    return lines[-1] if lines else "it ended without a word."


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
